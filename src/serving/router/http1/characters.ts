/** Bytes of HTTP/1.1 and what they may stand in (RFC 9110 section 5, RFC 9112). */
export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const COMMA = 0x2c;
export const SLASH = 0x2f;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;

/** `tchar`: methods and names of fields. */
export const TOKEN = 1;
/** Values of fields: visible characters, space, tab, and bytes above ASCII, which mean nothing here and pass. */
export const FIELD = 2;
/** Targets of requests: visible ASCII; no fragment. */
export const TARGET = 4;
/** An authority: a registered name or address, and a port; no user. */
export const AUTHORITY = 8;

/** For each byte, what it may stand in. */
export const CLASS: Uint8Array = classes();

function classes(): Uint8Array {
  const table = new Uint8Array(256);
  const allow = (kind: number, characters: string): void => {
    for (const character of characters) {
      const code = character.charCodeAt(0);
      table[code] = (table[code] ?? 0) | kind;
    }
  };
  const range = (first: number, last: number): string =>
    Array.from({ length: last - first + 1 }, (_, index) => String.fromCharCode(first + index)).join('');
  const alphanumeric = range(0x30, 0x39) + range(0x41, 0x5a) + range(0x61, 0x7a);
  allow(TOKEN, `${alphanumeric}!#$%&'*+-.^_\`|~`);
  allow(FIELD, `\t${range(0x20, 0x7e)}${range(0x80, 0xff)}`);
  allow(TARGET, range(0x21, 0x7e).replace('#', ''));
  allow(AUTHORITY, `${alphanumeric}-._~%!$&'()*+;=:[]`);
  return table;
}

/** The value of a hexadecimal digit, -1 of anything else. */
export function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Whether the bytes at `at` are `text`, which is lower case, in any case. `text` holds letters, digits and `-` only. */
export function startsWithFolded(bytes: Uint8Array, at: number, text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    if (((bytes[at + index] ?? 0) | 0x20) !== text.charCodeAt(index)) return false;
  }
  return true;
}

/** Whether the bytes from `start` to `end` are exactly `text`, as `startsWithFolded` compares. */
export function equalsFolded(bytes: Uint8Array, start: number, end: number, text: string): boolean {
  return end - start === text.length && startsWithFolded(bytes, start, text);
}
