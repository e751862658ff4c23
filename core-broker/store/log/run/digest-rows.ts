// Digests of records that the send kernel wrote: rows of words in its memory, first in, first out. The
// dispatcher takes them like those of pending-digests.ts; a record without a row is digested elsewhere.
// Invariant: in log order; a row counts only for the very record it was made of (offset, size, queue offset
// and body CRC are compared), and all rows are forgotten when the log was cut.
import { type SendKernel, sendLayout } from '../../../kernel/index.ts';
import { RecordDigest } from '../../queue/digest/record-digest.ts';
import type { Topic, TopicTable } from '../../queue/topic-table.ts';
import type { LogState } from '../log-state.ts';
import { isOf, type PendingDigest } from '../pending-digests.ts';
import type { Ring } from '../ring.ts';

const { ROWS, ROWS_MAX, ROW_BYTES } = sendLayout;
const ROW_INTS = ROW_BYTES / 4;
const ROW_DOUBLES = ROW_BYTES / 8;
const INTS = ROWS / 4;
const DOUBLES = ROWS / 8;
const SIZE = sendLayout.ROW_SIZE / 4;
const TOPIC = sendLayout.ROW_TOPIC / 4;
const QUEUE = sendLayout.ROW_QUEUE / 4;
const CRC = sendLayout.ROW_CRC / 4;
const TAG = sendLayout.ROW_TAG / 4;
const KEYS = sendLayout.ROW_KEYS / 4;
const HASHES = sendLayout.ROW_HASHES / 4;
const QUEUE_OFFSET = sendLayout.ROW_QUEUE_OFFSET / 8;
const STORE_TIME = sendLayout.ROW_STORE_TIME / 8;

export interface RowParts {
  kernel: SendKernel;
  ring: Ring;
  state: LogState;
  topics: TopicTable;
}

export class DigestRows {
  readonly #ring: Ring;
  readonly #state: LogState;
  readonly #topics: TopicTable;
  readonly #ints: Int32Array;
  readonly #doubles: Float64Array;
  /** The row in hand; reused. */
  readonly #found: PendingDigest & { topic: Topic | undefined; digest: RecordDigest } = {
    topic: undefined,
    bodyCrc: 0,
    digest: new RecordDigest(),
  };
  #head = 0;
  #tail = 0;
  #cuts = 0;

  constructor(parts: RowParts) {
    this.#ring = parts.ring;
    this.#state = parts.state;
    this.#topics = parts.topics;
    this.#ints = parts.kernel.ints;
    this.#doubles = parts.kernel.doubles;
  }

  /** Address of the next row; those in wait are moved to the front when the room gets short. */
  get next(): number {
    if (this.#cuts !== this.#state.cuts) this.#forget();
    if (this.#tail > ROWS_MAX / 2 && this.#head > ROWS_MAX / 4) this.#compact();
    return ROWS + this.#tail * ROW_BYTES;
  }

  /** Behind the last row there is room for. */
  get end(): number {
    return ROWS + ROWS_MAX * ROW_BYTES;
  }

  /** Rows up to the address were written. */
  added(address: number): void {
    this.#tail = (address - ROWS) / ROW_BYTES;
  }

  /** The digest of the record at `offset`, which stands at `at` of the ring; undefined = no row. */
  of(offset: number, at: number): PendingDigest | undefined {
    if (this.#head === this.#tail) return undefined;
    if (this.#cuts !== this.#state.cuts) this.#forget();
    for (; this.#head < this.#tail; this.#head++) {
      const physical = this.#doubles[DOUBLES + this.#head * ROW_DOUBLES] as number;
      if (physical > offset) return undefined;
      if (physical !== offset) continue;
      const found = this.#read(physical);
      if (isOf(found, this.#ring, at)) return found;
    }
    return undefined;
  }

  /** The record that of() gave was dispatched. */
  shift(): void {
    if (++this.#head < this.#tail) return;
    // Why: the rows of the last turn are still in the cache.
    this.#head = 0;
    this.#tail = 0;
  }

  #read(physicalOffset: number): PendingDigest {
    const found = this.#found;
    const { digest } = found;
    const ints = this.#ints;
    const row = INTS + this.#head * ROW_INTS;
    const double = DOUBLES + this.#head * ROW_DOUBLES;
    digest.physicalOffset = physicalOffset;
    digest.queueOffset = this.#doubles[double + QUEUE_OFFSET] as number;
    digest.storeTimestampMs = this.#doubles[double + STORE_TIME] as number;
    digest.size = ints[row + SIZE] as number;
    digest.queueId = ints[row + QUEUE] as number;
    digest.tagsCode = ints[row + TAG] as number;
    digest.isQueued = true;
    const keyCount = ints[row + KEYS] as number;
    digest.keyCount = keyCount;
    for (let i = 0; i < keyCount; i++) digest.keyHashes[i] = ints[row + HASHES + i] as number;
    found.bodyCrc = ints[row + CRC] as number;
    found.topic = this.#topics.ofId(ints[row + TOPIC] as number);
    return found;
  }

  #compact(): void {
    const ints = this.#ints;
    const from = INTS + this.#head * ROW_INTS;
    ints.copyWithin(INTS, from, INTS + this.#tail * ROW_INTS);
    this.#tail -= this.#head;
    this.#head = 0;
  }

  #forget(): void {
    this.#cuts = this.#state.cuts;
    this.#head = 0;
    this.#tail = 0;
  }
}
