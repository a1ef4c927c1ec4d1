import type { UnitSource } from '../../api/route.ts';
import type { RequestFields } from './types.ts';

/** Finds the unit of a request, by which it sticks to a revision; undefined where it has none. */
export type UnitReader = (fields: RequestFields) => string | undefined;

export function unitReader({ kind, name }: UnitSource): UnitReader {
  if (kind === 'Cookie') return (fields) => decoded(cookieValue(fields.get('cookie'), name));
  const lowerCase = name.toLowerCase();
  return (fields) => decoded(fields.get(lowerCase));
}

/** Clients hash text. A field's bytes stand one in a character; those that are not ASCII are read as UTF-8. */
function decoded(value: string | undefined): string | undefined {
  if (value === undefined || value === '') return undefined;
  for (let index = 0; index < value.length; index++) {
    if (value.charCodeAt(index) > 0x7f) return Buffer.from(value, 'latin1').toString('utf8');
  }
  return value;
}

/** The first cookie of this name (RFC 6265: they are separated by `;`, names are case-sensitive, values may be quoted). */
function cookieValue(cookies: string | undefined, name: string): string | undefined {
  if (cookies === undefined) return undefined;
  for (const pair of cookies.split(';')) {
    const equals = pair.indexOf('=');
    if (equals === -1 || pair.slice(0, equals).trim() !== name) continue;
    const value = pair.slice(equals + 1).trim();
    return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
  }
  return undefined;
}
