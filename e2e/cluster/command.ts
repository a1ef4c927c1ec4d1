import { spawn } from 'node:child_process';

/** A command that ended with another exit code than 0, or was ended by a signal; the message carries what it wrote. */
export class CommandFailed extends Error {
  override readonly name = 'CommandFailed';
}

export interface CommandOptions {
  readonly cwd?: string;
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly timeoutMs?: number;
  /** Called for every line of standard error as it comes. */
  readonly onErrorLine?: (line: string) => void;
}

const ERROR_TAIL_CHARS = 4000;

/**
 * Runs a program to its end and returns its standard output.
 * @throws CommandFailed when it cannot be started, fails or takes longer than `timeoutMs`.
 */
export async function command(program: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: 'pipe',
    timeout: options.timeoutMs,
  });
  let output = '';
  let errors = '';
  let errorLine = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-ERROR_TAIL_CHARS);
    const lines = (errorLine + text).split('\n');
    errorLine = lines.pop() ?? '';
    for (const line of lines) options.onErrorLine?.(line);
  });
  // A program that ends without reading its input is judged by its exit code, not by the broken pipe.
  child.stdin.on('error', () => undefined).end(options.input);
  const commandLine = [program, ...args].join(' ');
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new CommandFailed(`${program} cannot be started: ${error.message}`)));
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(output);
      const ending = signal === null ? `exit code ${code}` : signal;
      const said = (errors.trim() || output.slice(-ERROR_TAIL_CHARS).trim()).trim();
      reject(new CommandFailed(`${ending}: ${commandLine}\n${said}`));
    });
  });
}
