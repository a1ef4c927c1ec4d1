import Type, { type Static } from 'typebox';
import { cel, text } from '../schema.ts';

const DNS_LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';

/** The name of another object. */
export function objectName(description: string) {
  return text(253, {
    description,
    ...cel({
      rule: `self.matches('^${DNS_LABEL}([.]${DNS_LABEL})*$')`,
      message: 'must be the name of an object: lower-case letters, digits, - and ., at most 253 characters',
    }),
  });
}

/** A reference to an object of a known kind in the same namespace. */
export function localReference(description: string) {
  return Type.Object({ name: objectName('Name of the object, in the same namespace.') }, { description });
}
export type LocalReference = Static<ReturnType<typeof localReference>>;
