import { InferenceError } from '../../inference-error.ts';
import { Call } from '../http1/call.ts';
import type { CallOwner, CallRequest, CancelReason, Exchange, Hold } from '../http1/exchange.ts';
import { HttpError } from '../http1/http-error.ts';
import type { ResponseHead } from '../http1/response-head.ts';
import type { Choice, EnsembleChoice, OtherTarget, RequestOutcome, Target } from '../types.ts';
import { AnswerRecorder, MAX_KEPT_BYTES } from './answer.ts';
import type { BufferedSurroundings } from './buffered-exchange.ts';
import { CollectedBytes } from './collected-bytes.ts';
import { CannotCombine, combineOutputs, writeOutputs } from './combine.ts';
import { readOutputs } from './outputs.ts';

/** Whose answer an ensemble's is. */
export interface EnsembleOwner {
  ended(target: Target, outcome: RequestOutcome, seconds: number): void;
  failed(error: HttpError): void;
  /** The whole answer, 200, as JSON. */
  combined(json: string): void;
}

/**
 * A request that every member of an ensemble answers; their answers become one. All of them have to: an answer of fewer
 * members would be another model's. The first that fails ends the others, and the error names it.
 */
export class EnsembleExchange implements Exchange {
  readonly #owner: EnsembleOwner;
  readonly #ensemble: EnsembleChoice;
  readonly #request: CallRequest;
  readonly #body: CollectedBytes;
  readonly #members: readonly Member[];
  #missing: number;
  #isDone = false;

  constructor(
    surroundings: BufferedSurroundings,
    owner: EnsembleOwner,
    choice: Choice,
    ensemble: EnsembleChoice,
    request: CallRequest,
  ) {
    this.#owner = owner;
    this.#ensemble = ensemble;
    this.#request = request;
    this.#body = new CollectedBytes(surroundings.budget, choice.maxBodyBytes);
    this.#members = ensemble.members.map(
      (member) =>
        new Member(surroundings, member, {
          answered: () => this.#memberAnswered(),
          failed: (error) => this.#fail(error),
          ended: (target, outcome, seconds) => owner.ended(target, outcome, seconds),
        }),
    );
    this.#missing = this.#members.length;
  }

  /** Of the first member that has not answered. */
  get target(): Target | undefined {
    return this.#members.find(({ call }) => !call.isIdle)?.target;
  }

  get hold(): Hold {
    return this.#members.find(({ call }) => !call.isIdle)?.call.hold ?? 'answer';
  }

  /** @throws HttpError 503 when there is no memory to keep the body for all members. */
  body(bytes: Buffer, start: number, end: number): void {
    this.#body.append(bytes, start, end);
  }

  complete(): void {
    for (const { call, target, modelName } of this.#members) {
      if (this.#isDone) return;
      call.start({ ...this.#request, target, modelName, elsewhere: [] }, 0, 0, true, this.#body.bytes);
      call.flushRequest();
    }
  }

  flushRequest(): boolean {
    return true;
  }

  resume(): void {}

  cancel(why: CancelReason): void {
    for (const { call } of this.#members) call.cancel(why);
    this.#finish();
  }

  #memberAnswered(): void {
    this.#missing--;
    if (this.#missing > 0 || this.#isDone) return;
    try {
      const json = this.#combine();
      this.#finish();
      this.#owner.combined(json);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.#fail(error);
    }
  }

  /** @throws HttpError. */
  #combine(): string {
    const answers = this.#members.map(({ target, recorder }, index) => {
      const { revision } = target;
      const { answer } = recorder;
      if (answer === undefined) {
        throw new HttpError(
          502,
          `the answer of ${revision} has more than ${MAX_KEPT_BYTES} bytes, too many for an ensemble`,
        );
      }
      if (answer.status !== 200) {
        const said = answer.body.toString('utf8', 0, 500);
        // What the client did wrong for one member is the client's to know; what the member did is not its own status.
        throw new HttpError(
          answer.status < 500 ? answer.status : 502,
          `${revision} of the ensemble answered ${answer.status}: ${said}`,
        );
      }
      return { revision, answer, weight: this.#ensemble.members[index]?.weight ?? 1 };
    });
    try {
      const members = answers.map(({ revision, answer, weight }) => {
        const outputs = readOutputs(answer);
        if (outputs === undefined) throw new CannotCombine(`${revision} did not answer in the Open Inference Protocol`);
        return { revision, weight, outputs };
      });
      return writeOutputs(
        this.#members[0]?.target.modelDeployment ?? '',
        combineOutputs(members, this.#ensemble.combine),
      );
    } catch (error) {
      if (!(error instanceof CannotCombine) && !(error instanceof InferenceError)) throw error;
      throw new HttpError(502, `the answers of the ensemble cannot become one: ${error.message}`);
    }
  }

  #fail(error: HttpError): void {
    if (this.#isDone) return;
    this.#isDone = true;
    for (const { call } of this.#members) call.cancel('withdrawn');
    this.#release();
    this.#owner.failed(error);
  }

  #finish(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#release();
  }

  #release(): void {
    this.#body.release();
    for (const { recorder } of this.#members) recorder.release();
  }
}

interface MemberEvents {
  answered(): void;
  failed(error: HttpError): void;
  ended(target: Target, outcome: RequestOutcome, seconds: number): void;
}

class Member implements CallOwner {
  readonly target: Target;
  readonly modelName: string | undefined;
  readonly call: Call;
  readonly recorder: AnswerRecorder;
  readonly #events: MemberEvents;

  constructor(surroundings: BufferedSurroundings, { target, modelName }: OtherTarget, events: MemberEvents) {
    this.target = target;
    this.modelName = modelName;
    this.#events = events;
    this.call = new Call(surroundings, this);
    this.recorder = new AnswerRecorder(surroundings.budget);
  }

  answered(head: ResponseHead | undefined, bytes: Buffer, start: number, end: number, isLast: boolean): void {
    this.recorder.record(head, bytes, start, end, isLast);
  }

  over(): void {
    this.#events.answered();
  }

  failed(error: HttpError): void {
    this.#events.failed(new HttpError(502, `${this.target.revision} of the ensemble: ${error.message}`));
  }

  brokenOff(reason: string): void {
    this.#events.failed(new HttpError(502, `${this.target.revision} of the ensemble: ${reason}`));
  }

  ended(target: Target, outcome: RequestOutcome, seconds: number): void {
    this.#events.ended(target, outcome, seconds);
  }

  interim(): void {}
  drained(): void {}
  chooseAgain(): undefined {}

  flush(): boolean {
    return true;
  }
}
