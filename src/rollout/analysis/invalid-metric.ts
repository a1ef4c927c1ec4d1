/** A metric that says nothing that could be judged: the field, and why. */
export class InvalidMetric extends Error {
  override readonly name = 'InvalidMetric';
  readonly field: string;

  constructor(field: string, problem: string) {
    super(`${field}: ${problem}`);
    this.field = field;
  }
}
