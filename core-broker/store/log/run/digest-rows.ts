// Digests of records that the send kernel wrote: rows of words in its memory (queue/digest/record-row.ts), one
// run of them per call, first in, first out. The pump enters a run at once; a record without a row is digested
// elsewhere.
// Invariant: in log order; the rows of a run belong to records that stand one behind the other from its offset
// on, the first of them is compared with the ring (size, offsets) before any is used, and all rows are
// forgotten when the log was cut: a record that takes the place of another may equal it.
import { type SendKernel, sendLayout } from '../../../kernel/index.ts';
import { longAt, RowWord, rowLength } from '../../queue/digest/record-row.ts';
import type { RowRun } from '../../queue/dispatcher.ts';
import type { TopicTable } from '../../queue/topic-table.ts';
import type { LogState } from '../log-state.ts';
import { isRecordAt } from '../record-bytes.ts';
import type { Ring } from '../ring.ts';

const FIRST = sendLayout.ROWS / 4;
const WORDS = sendLayout.ROWS_BYTES / 4;

export interface RowParts {
  kernel: SendKernel;
  ring: Ring;
  state: LogState;
  topics: TopicTable;
}

/** Rows [at, end) of the records from log offset `offset` on. */
interface Run {
  offset: number;
  at: number;
  end: number;
}

export class DigestRows {
  readonly #ring: Ring;
  readonly #state: LogState;
  readonly #words: Int32Array;
  /** Of the first row of a run; reused. */
  readonly #place = { size: 0, queueOffset: 0, physicalOffset: 0 };
  /** What the pump gets; reused. */
  readonly #lent: RowRun;
  #runs: Run[] = [];
  /** Runs before are done. */
  #head = 0;
  /** Behind the last row. */
  #tail = FIRST;
  #cuts = 0;

  constructor(parts: RowParts) {
    this.#ring = parts.ring;
    this.#state = parts.state;
    this.#words = parts.kernel.ints;
    const topics = parts.topics.byId;
    this.#lent = { words: this.#words, at: 0, end: 0, left: 0, until: 0, topics };
  }

  /** Address of the next row; those in wait are moved to the front when the room gets short. */
  get next(): number {
    if (this.#cuts !== this.#state.cuts) this.#forget();
    if (this.#tail - FIRST > WORDS / 2) this.#compact();
    return this.#tail * 4;
  }

  /** Behind the last row there is room for. */
  get end(): number {
    return (FIRST + WORDS) * 4;
  }

  /** Rows up to the address were written, for records from `offset` on. */
  added(offset: number, address: number): void {
    const end = address / 4;
    this.#runs.push({ offset, at: this.#tail, end });
    this.#tail = end;
  }

  /**
   * The rows from the record at `offset` on, which stands at `at` of the ring; up to what is written.
   * @returns a reused object, to be entered and given to taken(); undefined = that record has no row
   */
  of(offset: number, at: number): RowRun | undefined {
    if (this.#head === this.#runs.length) return undefined;
    if (this.#cuts !== this.#state.cuts) this.#forget();
    const run = this.#runAt(offset);
    if (run === undefined) return undefined;
    if (!this.#isOf(run, at)) {
      this.#drop();
      return undefined;
    }
    const lent = this.#lent;
    lent.at = run.at;
    lent.end = run.end;
    lent.left = run.end;
    lent.until = this.#state.written;
    return lent;
  }

  /** What of() lent was entered, perhaps not all of it. */
  taken(): void {
    const run = this.#runs[this.#head]!;
    run.at = this.#lent.at;
    run.offset = this.#state.dispatched;
    if (run.at >= run.end) this.#drop();
  }

  /** The run that begins at `offset`; what lies before was dispatched without its rows. */
  #runAt(offset: number): Run | undefined {
    for (let run = this.#runs[this.#head]; run !== undefined; run = this.#runs[this.#head]) {
      while (run.offset < offset && run.at < run.end) {
        run.offset += this.#words[run.at]!;
        run.at += rowLength(this.#words, run.at);
      }
      if (run.at < run.end) return run.offset === offset ? run : undefined;
      this.#drop();
    }
    return undefined;
  }

  #isOf(run: Run, at: number): boolean {
    const place = this.#place;
    place.size = this.#words[run.at]!;
    place.queueOffset = longAt(this.#words, run.at + RowWord.queueOffset);
    place.physicalOffset = run.offset;
    return isRecordAt(this.#ring.view, at, place);
  }

  #drop(): void {
    if (++this.#head < this.#runs.length) return;
    // Why: the rows of the last turn are still in the cache.
    this.#clear();
  }

  #compact(): void {
    const first = this.#runs[this.#head]?.at ?? this.#tail;
    const by = first - FIRST;
    if (by < WORDS / 4) return;
    this.#words.copyWithin(FIRST, first, this.#tail);
    this.#runs = this.#runs.slice(this.#head);
    this.#head = 0;
    for (const run of this.#runs) {
      run.at -= by;
      run.end -= by;
    }
    this.#tail -= by;
  }

  #forget(): void {
    this.#cuts = this.#state.cuts;
    this.#clear();
  }

  #clear(): void {
    this.#runs.length = 0;
    this.#head = 0;
    this.#tail = FIRST;
  }
}
