// A pull whose filter looks into the records: entries are read in blocks, each record is shown to the
// filter, and only what it wants goes into the answer. Entries, bytes and work of one pull are bounded;
// where it ends the consumer goes on, so that a filter that rejects everything never holds up the loop.
// Invariant: next stands behind every record that was judged and before the first that was not; a
// damaged record ends the walk before it, or fails it when it is the first.
// Source: RocketMQ DefaultMessageStore.getMessage, behaviour only.
import type { PullLimit, PullResult, RecordFilter } from '../door.ts';
import { CQ_BLANK_SIZE, CQ_ENTRY_BYTES } from '../layout.ts';
import type { LogFiles } from '../log/log-files.ts';
import { int32At, int64At, RecordCursor } from '../log/record-bytes.ts';
import type { LogView } from '../read/log-view.ts';
import type { ConsumeQueue } from './consume-queue.ts';
import { addToStretches, type Stretch } from './stretches.ts';

/** Entries per block: what is read beyond the end of an answer is wasted. */
const BLOCK_ENTRIES = 64;
/** Entries looked at in one pull, as in Apache. */
const ENTRIES_MAX = 16_000;
/** Bytes of records looked at in one pull; those from files are checked first and count more. */
const BYTES_MAX = 4 * 1024 * 1024;
const FILE_WEIGHT = 4;
/** The same for a pull that reads files only. */
export const FILE_BYTES_MAX = BYTES_MAX / FILE_WEIGHT;
/** Steps of filters in one pull, about 20 ms. */
const WORK_MAX = 400_000;
/** Long properties cost more than one step: one more for so many bytes (a power of two). */
const BYTES_PER_STEP_LOG2 = 6;

type Filtered = PullLimit & { filter: RecordFilter };

export class FilteredWalk {
  readonly #view: LogView;
  readonly #files: LogFiles;
  readonly #queue: ConsumeQueue;
  readonly #limit: Filtered;
  readonly #result: PullResult;
  readonly #cursor = new RecordCursor();
  #bytes = 0;
  #work = 0;
  #isFull = false;
  /** Records judged so far. */
  #judged = 0;

  constructor(
    log: { view: LogView; files: LogFiles },
    queue: ConsumeQueue,
    limit: Filtered,
    result: PullResult,
  ) {
    this.#view = log.view;
    this.#files = log.files;
    this.#queue = queue;
    this.#limit = limit;
    this.#result = result;
  }

  /** @returns the offset to go on at @throws DrError CORRUPT when the record at `from` is damaged */
  run(from: number): number {
    this.#result.status = 'NO_MATCHED_MESSAGE';
    const last = Math.min(this.#queue.max, from + ENTRIES_MAX);
    let next = from;
    while (next < last && !this.#isFull) {
      next = this.#block(next, Math.min(last, next + BLOCK_ENTRIES));
    }
    return next;
  }

  /** Judges the entries [from, to). @returns the first that was not judged */
  #block(from: number, to: number): number {
    const stretches: Stretch[] = [];
    /** Queue offsets of the records, in order. */
    const places: number[] = [];
    const run = this.#queue.read(from, to - from);
    for (let i = 0; i < run.count; i++) {
      const at = run.at + i * CQ_ENTRY_BYTES;
      const size = int32At(run.bytes, at + 8);
      const offset = int64At(run.bytes, at);
      if (size === CQ_BLANK_SIZE || offset < this.#files.minOffset) {
        if (this.#result.messageCount === 0) this.#result.status = 'MESSAGE_WAS_REMOVING';
        continue;
      }
      places.push(from + i);
      addToStretches(stretches, this.#files, offset, size);
    }
    let judged = 0;
    for (const stretch of stretches) {
      judged += this.#judge(stretch);
      if (this.#isFull) return places[judged] ?? from + run.count;
    }
    return from + run.count;
  }

  /** @returns how many records of the stretch were judged */
  #judge(stretch: Stretch): number {
    const { records } = stretch;
    const isInRing = this.#view.isInRing(stretch.from);
    const bytes = isInRing
      ? this.#ringBytes(stretch)
      : this.#view.readRange(stretch.from, stretch.to);
    for (let i = 0; i < records.length; i += 2) {
      const offset = records[i]!;
      const size = records[i + 1]!;
      const at = offset - stretch.from;
      this.#isFull ||=
        this.#isBeyond(size, isInRing) || !(isInRing || this.#isSound(bytes, at, offset));
      if (this.#isFull) return i / 2;
      this.#judged++;
      if (this.#isWanted(bytes, at, size)) this.#add(bytes.subarray(at, at + size));
    }
    return records.length / 2;
  }

  /** Views end at the end of the ring; a stretch that crosses it is copied. */
  #ringBytes(stretch: Stretch): Buffer {
    const views: Buffer[] = [];
    this.#view.pushRingViews(stretch.from, stretch.to, views);
    return views.length === 1 ? views[0]! : Buffer.concat(views);
  }

  /** Whether a record of this size is beyond what one pull may look at or give; the first never is. */
  #isBeyond(size: number, isInRing: boolean): boolean {
    const { messageCount, sizeBytes } = this.#result;
    this.#bytes += isInRing ? size : size * FILE_WEIGHT;
    if (messageCount >= this.#limit.messagesMax) return true;
    if (messageCount > 0 && sizeBytes + size > this.#limit.bytesMax) return true;
    return this.#judged > 0 && (this.#bytes > BYTES_MAX || this.#work > WORK_MAX);
  }

  #isSound(bytes: Buffer, at: number, offset: number): boolean {
    try {
      this.#view.checkRecord(bytes, at, offset);
      return true;
    } catch (reason) {
      // What was judged before it stands; the next pull begins at it and reports the damage.
      if (this.#judged > 0) return false;
      throw reason;
    }
  }

  #isWanted(bytes: Buffer, at: number, size: number): boolean {
    const cursor = this.#cursor;
    const { filter } = this.#limit;
    if (cursor.read(bytes, at, at + size, size) !== 'record') return true;
    const { propertiesStart, propertiesLength } = cursor;
    this.#work += filter.work * (1 + (propertiesLength >> BYTES_PER_STEP_LOG2));
    return filter.matchesBytes(bytes, propertiesStart, propertiesLength);
  }

  #add(record: Buffer): void {
    const result = this.#result;
    result.status = 'FOUND';
    result.chunks.push(record);
    result.messageCount++;
    result.sizeBytes += record.length;
  }
}
