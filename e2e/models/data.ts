import { readFileSync } from 'node:fs';

/** Held-out rows of a real data set, which no model here was trained on, with their true labels. */
export interface HeldOutData {
  readonly features: readonly string[];
  /** Names of the classes by label. */
  readonly classes: readonly string[];
  readonly rows: readonly (readonly number[])[];
  readonly labels: readonly number[];
  /** What each model answers for the rows, by its own training library. */
  readonly expected: Readonly<
    Record<string, { readonly label: readonly number[]; readonly probabilities: readonly (readonly number[])[] }>
  >;
}

/** 64 patients of the Wisconsin breast cancer study, 30 features each. */
export function breastCancer(): HeldOutData {
  return JSON.parse(readFileSync(new URL('./breast-cancer.json', import.meta.url), 'utf8')) as HeldOutData;
}
