import fc from 'fast-check';

/**
 * Properties are tried on the same cases in every run, so that a run tells of the code alone. `PROPERTY_SEED=random` looks
 * for new ones; what that finds is a test of its own from then on.
 */
const seed = process.env.PROPERTY_SEED ?? '20261121';
if (seed !== 'random') fc.configureGlobal({ seed: Number(seed) });
