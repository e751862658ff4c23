// Reads the commit log ahead of a socket: large reads, two in flight, so disk and network overlap.
// Lengths are computed before the read (file end and log end are known), which is what allows the
// second read to start before the first has finished.
// Invariant: pieces come in log order without a hole; a read that came back short resets the rest.
// Source: ours (measured: 1 MiB reads at depth 2 reach a plain pread loop).
import type { MessageStore } from '../../store/index.ts';

export const HA_READ_BYTES = 1024 * 1024;
const READS_IN_FLIGHT = 2;

export interface LogPiece {
  offset: number;
  bytes: Buffer;
}

type Outcome = { bytes: Buffer | undefined } | { failure: unknown };

interface PendingRead {
  offset: number;
  length: number;
  outcome: Promise<Outcome>;
}

export class LogReader {
  readonly #store: MessageStore;
  readonly #fileSize: number;
  readonly #pieceBytesMax: number;
  readonly #pending: PendingRead[] = [];
  /** First byte for which no read was started. */
  #ahead: number;

  constructor(from: {
    store: MessageStore;
    fileSize: number;
    offset: number;
    pieceBytesMax?: number;
  }) {
    this.#store = from.store;
    this.#fileSize = from.fileSize;
    this.#ahead = from.offset;
    this.#pieceBytesMax = from.pieceBytesMax ?? HA_READ_BYTES;
  }

  /**
   * The next contiguous piece inside one file, or undefined when everything readable was read.
   * @throws what the store's read throws
   */
  async next(): Promise<LogPiece | undefined> {
    this.#startReads();
    const head = this.#pending.shift();
    if (head === undefined) return undefined;
    const outcome = await head.outcome;
    if ('failure' in outcome) throw outcome.failure;
    const taken = outcome.bytes?.length ?? 0;
    if (taken !== head.length) this.#restartAt(head.offset + taken);
    if (outcome.bytes === undefined || taken === 0) return undefined;
    return { offset: head.offset, bytes: outcome.bytes };
  }

  #startReads(): void {
    while (this.#pending.length < READS_IN_FLIGHT) {
      const { minOffset, dispatchedOffset: end } = this.#store.storeBounds();
      const offset = this.#ahead;
      if (offset >= end || offset < minOffset - (minOffset % this.#fileSize)) return;
      const fileEnd = offset - (offset % this.#fileSize) + this.#fileSize;
      const length = Math.min(this.#pieceBytesMax, fileEnd - offset, end - offset);
      const outcome = this.#store.readLog(offset, length).then(
        (bytes): Outcome => ({ bytes }),
        (failure: unknown): Outcome => ({ failure }),
      );
      this.#pending.push({ offset, length, outcome });
      this.#ahead = offset + length;
    }
  }

  /** Reads behind a short one would leave a hole: they are forgotten and started again. */
  #restartAt(offset: number): void {
    this.#pending.length = 0;
    this.#ahead = offset;
  }
}
