// When received link bytes are given to the checker. Bytes first: should the source's region die, what was
// received can still be checked, and what was not received is lost. So while the source has much more and
// it comes at full speed, checking, which would take CPU from receiving, waits.
// Held back is only what all of this is true of: the source is known to be far ahead; bytes come faster
// than checking in step costs nothing; nobody waits for the check; not more than a bound waits. As
// soon as one is not, everything is announced at once. A small lag, a slow line, a pause: checked as it comes.
// Invariant: while something is held a timer runs that lets it go when the stream stops; nobody who
// waits for the check ever waits for that timer.
// Source: ours.

/** Below this distance from the source's end bytes are checked as they come. */
const NEAR_BYTES = 64 * 1024 * 1024;
/** 200 MB/s: slower, less than a third of a core receives, and checking keeps up beside it. */
const FAST_BYTES_PER_MS = 200_000;
/** Speed is measured over this, and a pause is noticed within it. */
export const LOOK_MS = 25;
/** What exceeds the bound is announced in steps of this: each wakes the checker. */
const STEP_BYTES = 4 * 1024 * 1024;

export interface HoldPorts {
  /** Bytes below `end` may be checked. */
  announce(end: number): void;
  /** Somebody waits until everything that was taken is checked. */
  isAwaited(): boolean;
  nowMs(): number;
}

export class HoldBack {
  readonly #ports: HoldPorts;
  #end = 0;
  #announced = 0;
  #isHolding = false;
  #sourceEnd = 0;
  #heldMax = 0;
  #timer: NodeJS.Timeout | undefined;
  /** The latest look: when, and where the bytes ended. */
  #lookedMs = 0;
  #lookedEnd = 0;

  constructor(ports: HoldPorts) {
    this.#ports = ports;
  }

  /** Bytes that were taken and not announced. */
  get held(): number {
    return this.#end - this.#announced;
  }

  /** The source has bytes up to `end`; of those that come no more than `heldMax` may wait. 0 = unknown. */
  sourceHas(end: number, heldMax: number): void {
    this.#sourceEnd = end;
    this.#heldMax = heldMax;
    if (!this.#mayHold) this.release();
  }

  /** The checker begins anew and was told of everything up to `end`. */
  begin(end: number): void {
    this.drop();
    this.#end = end;
    this.#announced = end;
  }

  /** Bytes up to `end` are in the files. */
  take(end: number): void {
    const before = this.#end;
    this.#end = end;
    if (!this.#isHolding || !this.#mayHold) this.release();
    else if (this.held >= this.#heldMax + STEP_BYTES) this.#announce(end - this.#heldMax);
    if (this.#timer === undefined && this.#mayHold) this.#startLooking(before);
  }

  /** Everything taken is announced; holding may begin again with the next look. */
  release(): void {
    this.#isHolding = false;
    this.#announce(this.#end);
  }

  /** Nothing is to be checked any more. */
  drop(): void {
    this.#stopLooking();
    this.#isHolding = false;
    this.#announced = this.#end;
  }

  get #mayHold(): boolean {
    const isFar = this.#sourceEnd - this.#end >= NEAR_BYTES;
    return isFar && this.#heldMax > 0 && !this.#ports.isAwaited();
  }

  #announce(end: number): void {
    if (end <= this.#announced) return;
    this.#announced = end;
    this.#ports.announce(end);
  }

  #startLooking(from: number): void {
    this.#noteLook(from);
    // Why it keeps the process: what is held must come to its check, and a stream that ended ends it.
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  #stopLooking(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const bytes = this.#end - this.#lookedEnd;
    const isFast = bytes >= FAST_BYTES_PER_MS * (this.#ports.nowMs() - this.#lookedMs);
    this.#noteLook(this.#end);
    if (isFast && this.#mayHold) {
      this.#isHolding = true;
      return;
    }
    this.release();
    if (bytes === 0 || !this.#mayHold) this.#stopLooking();
  }

  #noteLook(end: number): void {
    this.#lookedMs = this.#ports.nowMs();
    this.#lookedEnd = end;
  }
}
