import winston from 'winston';

export type Logger = winston.Logger;

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** A reader of the log that has gone away ends the log, never the process. */
function endLog(): void {}

/** A logger that writes one JSON object a line to stdout; `fields` stand on every line. Never pass it secrets. */
export function createLogger(level: LogLevel, fields: Readonly<Record<string, unknown>> = {}): Logger {
  if (!process.stdout.listeners('error').includes(endLog)) process.stdout.on('error', endLog);
  return winston.createLogger({
    level,
    defaultMeta: { ...fields },
    format: winston.format.combine(
      winston.format.timestamp(),
      winston.format.errors({ stack: true }),
      winston.format.json(),
    ),
    transports: [new winston.transports.Console({ stderrLevels: [] })],
  });
}
