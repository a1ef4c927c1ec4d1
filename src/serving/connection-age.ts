/**
 * Connections of clients are renewed after so long, so that clients that keep theirs spread over new pods and new routers,
 * and follow a Service that leads elsewhere.
 */
export const MAX_CONNECTION_AGE_MS = 5 * 60_000;
const JITTER = 0.1;

/** The age at which one connection is renewed: ten percent more or less, so that those that begin together end apart. */
export function connectionAgeMs(random: () => number): number {
  return MAX_CONNECTION_AGE_MS * (1 - JITTER + 2 * JITTER * random());
}
