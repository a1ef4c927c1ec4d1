import type { LoadFailureReason } from '../../api/serving-config.ts';

/** A model cannot be served; `reason` is what status shows and `message` says what to do, with the numbers. */
export class LoadFailure extends Error {
  readonly reason: LoadFailureReason;

  constructor(reason: LoadFailureReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LoadFailure';
    this.reason = reason;
  }
}
