// Cuts a byte stream into remoting frames. Whole frames are delivered in place, as positions in the
// chunk that was read; only a frame that straddles two reads is copied, into one buffer that grows with
// the bytes that really came, never with what a length word claims.
// Invariants: a length outside [8, limit] throws at once; after stop() nothing is delivered any more.
import { DrError } from '../base/index.ts';

export type FrameSink = (chunk: Buffer, start: number, end: number) => void;
/** Takes some of the frames at the start of [start, end). @returns the position behind them */
export type RunSink = (chunk: Buffer, start: number, end: number) => number;

/** Bytes of unfinished frames, shared by all connections of a server. */
export interface PartialBudget {
  usedBytes: number;
  readonly maxBytes: number;
}

const EMPTY = Buffer.alloc(0);
const LENGTH_BYTES = 4;
const FRAME_BYTES_MIN = 8;
/** A run is offered when this many frames like the first may wait; fewer are not worth the call. */
const RUN_FRAMES_MIN = 4;
/** Frames of a run are not measured one by one: none can be larger than the run. */
const RUN_BYTES_MAX = 128 * 1024;
/** Runs of a chunk that may be refused one after the other: it holds other frames then. */
const RUN_TRIES = 3;
/** A larger straddle buffer is given back after its frame. */
const KEEP_BYTES_MAX = 16 * 1024;

export class FrameReader {
  readonly #sink: FrameSink;
  readonly #frameBytesMax: number;
  readonly #budget: PartialBudget;
  readonly #runs: RunSink | undefined;
  #partial: Buffer = EMPTY;
  #partialLength = 0;
  #chunk: Buffer = EMPTY;
  #at = 0;
  #end = 0;
  #isStopped = false;
  #isSeen = false;

  constructor(sink: FrameSink, frameBytesMax: number, budget: PartialBudget, runs?: RunSink) {
    this.#sink = sink;
    this.#frameBytesMax = frameBytesMax;
    this.#budget = budget;
    this.#runs = frameBytesMax < RUN_BYTES_MAX ? undefined : runs;
  }

  /** Bytes of a frame that has begun but not ended. */
  get partialBytes(): number {
    return this.#partialLength;
  }

  /**
   * Takes bytes [0, end) of `chunk` and delivers every frame they complete. The chunk may be reused
   * by the caller afterwards.
   * @returns true when the sink saw no frame in the chunk itself: nobody can hold a view of it
   * @throws DrError PROTOCOL when a length is impossible, BUSY when too many unfinished bytes are held
   */
  push(chunk: Buffer, end: number = chunk.length): boolean {
    this.#chunk = chunk;
    this.#at = 0;
    this.#end = end;
    this.#isSeen = false;
    if (this.#partialLength === 0 || this.#completePartial()) this.#deliverWhole();
    if (!this.#isStopped) this.#keep(this.#end);
    // Invariant: no reference to a caller's chunk outlives push().
    this.#chunk = EMPTY;
    this.#at = 0;
    this.#end = 0;
    return !this.#isSeen;
  }

  #deliverWhole(): void {
    const chunk = this.#chunk;
    let tries = this.#runs === undefined ? 0 : RUN_TRIES;
    while (!this.#isStopped && this.#end - this.#at >= LENGTH_BYTES) {
      const start = this.#at;
      const size = this.#checkedSize(chunk, start);
      if (this.#end - start < size) return;
      if (tries > 0 && this.#end - start >= RUN_FRAMES_MIN * size) {
        this.#at = this.#offerRun(start);
        tries = this.#at > start ? RUN_TRIES : tries - 1;
        if (this.#at > start) continue;
      }
      // Order: step over the frame before the call, which may stop this reader and take the rest.
      this.#at = start + size;
      this.#isSeen = true;
      this.#sink(chunk, start, start + size);
    }
  }

  #offerRun(start: number): number {
    const end = Math.min(this.#end, start + RUN_BYTES_MAX);
    return this.#runs?.(this.#chunk, start, end) ?? start;
  }

  /** No more deliveries. @returns a copy of every byte not delivered yet */
  stop(): Buffer {
    this.#isStopped = true;
    const partial = this.#partial.subarray(0, this.#partialLength);
    const rest = Buffer.concat([partial, this.#chunk.subarray(this.#at, this.#end)]);
    this.#at = this.#end;
    this.#dropPartial();
    return rest;
  }

  #checkedSize(bytes: Buffer, at: number): number {
    const size = bytes.readInt32BE(at) + LENGTH_BYTES;
    if (size < FRAME_BYTES_MIN || size > this.#frameBytesMax) {
      throw new DrError('PROTOCOL', 'a frame has an impossible length', { context: { size } });
    }
    return size;
  }

  /** Feeds the straddling frame. @returns false when it still is not whole */
  #completePartial(): boolean {
    if (this.#partialLength < LENGTH_BYTES) {
      this.#keep(Math.min(this.#end, this.#at + LENGTH_BYTES - this.#partialLength));
      if (this.#partialLength < LENGTH_BYTES) return false;
    }
    const size = this.#checkedSize(this.#partial, 0);
    this.#keep(Math.min(this.#end, this.#at + size - this.#partialLength));
    if (this.#partialLength < size) return false;
    const frame = this.#partial;
    this.#setLength(0);
    if (frame.length > KEEP_BYTES_MAX) this.#partial = EMPTY;
    if (!this.#isTakenAlone(frame, size)) this.#sink(frame, 0, size);
    return true;
  }

  /** Why: between reads full of runs, the frame on the seam would be the dearest of all. */
  #isTakenAlone(frame: Buffer, size: number): boolean {
    if (this.#runs === undefined || frame.length > KEEP_BYTES_MAX) return false;
    return this.#runs(frame, 0, size) === size;
  }

  /** Moves bytes up to `end` of the chunk behind the partial frame. */
  #keep(end: number): void {
    const count = end - this.#at;
    if (count <= 0) return;
    const length = this.#partialLength + count;
    if (length > this.#partial.length) this.#grow(length);
    this.#chunk.copy(this.#partial, this.#partialLength, this.#at, end);
    this.#at = end;
    this.#setLength(length);
  }

  #grow(needed: number): void {
    const doubled = Math.max(1024, needed, Math.min(this.#partial.length * 2, this.#frameBytesMax));
    const larger = Buffer.allocUnsafeSlow(doubled);
    this.#partial.copy(larger, 0, 0, this.#partialLength);
    this.#partial = larger;
  }

  #setLength(length: number): void {
    this.#budget.usedBytes += length - this.#partialLength;
    this.#partialLength = length;
    if (this.#budget.usedBytes > this.#budget.maxBytes) {
      throw new DrError('BUSY', 'too many bytes of unfinished frames are held');
    }
  }

  #dropPartial(): void {
    this.#budget.usedBytes -= this.#partialLength;
    this.#partialLength = 0;
    this.#partial = EMPTY;
  }
}
