// Serves a pull: walks consume queue entries, keeps those whose tag hash is wanted, collects the
// records. Adjacent records become one view of the ring or one read of a file.
// Invariant: what comes from a file is checked first; a damaged record ends the answer before it, and
// the pull that begins at it fails with CORRUPT. Nothing is ever stepped over in silence.
// Source: RocketMQ DefaultMessageStore.getMessage, behaviour only.
import { queueOffset } from '../../base/index.ts';
import type { PullLimit, PullResult, PullStatus, RecordFilter } from '../door.ts';
import { CQ_BLANK_SIZE, CQ_ENTRY_BYTES } from '../layout.ts';
import type { LogFiles } from '../log/log-files.ts';
import { int32At, int64At } from '../log/record-bytes.ts';
import type { LogView } from '../read/log-view.ts';
import type { ConsumeQueue, EntryRun } from './consume-queue.ts';
import { FILE_BYTES_MAX, FilteredWalk } from './filtered-walk.ts';
import { addToStretches, type Stretch } from './stretches.ts';

/** Entries looked at in one pull when a filter rejects most of them. */
const SCAN_ENTRIES_MAX = 16_000;
/** Room for what a pull reads from files; a pull that needs more gets buffers of its own. */
const ROOM_BYTES = 512 * 1024;

/** The entries a pull wants, where their records lie, and where it goes on. */
interface Selection {
  status: PullStatus;
  next: number;
  stretches: Stretch[];
}

export class Puller {
  readonly #view: LogView;
  readonly #files: LogFiles;
  /** Why reused: a fresh buffer per read costs its page faults, as much as the copy itself. */
  readonly #room: Buffer = Buffer.allocUnsafeSlow(ROOM_BYTES);
  #roomUsed = 0;
  /** What places() found, for the pull that follows in the same tick with the same limit object. */
  #placed: (Selection & { queue: ConsumeQueue; from: number; limit: PullLimit }) | undefined;

  constructor(view: LogView, files: LogFiles) {
    this.#view = view;
    this.#files = files;
  }

  /**
   * The chunks of the result are valid until the next pull.
   * @throws DrError CORRUPT when the record at `from` is damaged
   */
  pull(queue: ConsumeQueue | undefined, from: number, limit: PullLimit): PullResult {
    this.#roomUsed = 0;
    if (queue === undefined) return emptyResult('NO_MATCHED_LOGIC_QUEUE', 0, undefined);
    const refused = outside(queue, from);
    if (refused !== undefined) return refused;
    return this.#pull(queue, from, limit);
  }

  /**
   * Where such a pull reads the log: all that it may serve. A filter judges later, so what it may look at
   * is here, served or not. The limit must be made for this one pull.
   */
  places(queue: ConsumeQueue, from: number, limit: PullLimit): readonly Stretch[] {
    if (limit.filter === undefined) {
      const selection = this.#select(queue, from, this.#bounded(queue, from, limit));
      this.#placed = { ...selection, queue, from, limit };
      return selection.stretches;
    }
    const looked = { messagesMax: SCAN_ENTRIES_MAX, bytesMax: FILE_BYTES_MAX };
    return this.#select(queue, from, { ...limit, ...looked }).stretches;
  }

  #pull(queue: ConsumeQueue, from: number, limit: PullLimit): PullResult {
    const { filter } = limit;
    if (filter !== undefined) {
      return this.#filtered(queue, from, filter, this.#bounded(queue, from, limit));
    }
    const { status, next, stretches } = this.#selection(queue, from, limit);
    const result = emptyResult(status, next, queue);
    for (const stretch of stretches) {
      if (!this.#collect(stretch, result)) {
        result.nextBeginOffset = queueOffset(this.#queueOffsetOf(queue, from, result));
        break;
      }
    }
    return result;
  }

  #selection(queue: ConsumeQueue, from: number, limit: PullLimit): Selection {
    const placed = this.#placed;
    this.#placed = undefined;
    const isSame = placed?.limit === limit && placed.queue === queue && placed.from === from;
    return isSame ? placed : this.#select(queue, from, this.#bounded(queue, from, limit));
  }

  #bounded(queue: ConsumeQueue, from: number, limit: PullLimit): PullLimit {
    const { cold } = limit;
    if (cold === undefined || queue.physicalAt(from) >= cold.below) return limit;
    const messagesMax = Math.min(limit.messagesMax, cold.messagesMax);
    return { ...limit, messagesMax, bytesMax: cold.bytesMax };
  }

  #filtered(queue: ConsumeQueue, from: number, filter: RecordFilter, limit: PullLimit): PullResult {
    const result = emptyResult('NO_MATCHED_MESSAGE', from, queue);
    const log = { view: this.#view, files: this.#files };
    const walk = new FilteredWalk(log, queue, { ...limit, filter }, result);
    result.nextBeginOffset = queueOffset(walk.run(from));
    return result;
  }

  /** Chooses entries; stops at the limits. */
  #select(queue: ConsumeQueue, from: number, limit: PullLimit): Selection {
    const stretches: Stretch[] = [];
    const logMin = this.#files.minOffset;
    const last = Math.min(queue.max, from + SCAN_ENTRIES_MAX);
    let status: PullStatus = 'NO_MATCHED_MESSAGE';
    let next = from;
    let count = 0;
    let bytes = 0;
    while (next < last) {
      const run = queue.read(next, Math.min(last - next, Math.max(32, limit.messagesMax)));
      for (let i = 0; i < run.count; i++) {
        const at = run.at + i * CQ_ENTRY_BYTES;
        const size = int32At(run.bytes, at + 8);
        const offset = int64At(run.bytes, at);
        if (size === CQ_BLANK_SIZE || offset < logMin) {
          if (count === 0) status = 'MESSAGE_WAS_REMOVING';
        } else if (isWanted(run, at, limit.tagCodes)) {
          if (count >= limit.messagesMax) return { status, next, stretches };
          if (count > 0 && bytes + size > limit.bytesMax) return { status, next, stretches };
          status = 'FOUND';
          count++;
          bytes += size;
          addToStretches(stretches, this.#files, offset, size);
        }
        next++;
        // Why here: the entries behind may have to be read from a file. With tags it goes on over the
        // others, so that the consumer need not.
        if (count === limit.messagesMax && limit.tagCodes === undefined) {
          return { status, next, stretches };
        }
      }
    }
    return { status, next, stretches };
  }

  /** Adds the bytes of a stretch; false when a damaged record cut it short. */
  #collect(stretch: Stretch, result: PullResult): boolean {
    if (this.#view.isInRing(stretch.from)) {
      this.#collectFromRing(stretch, result);
      return true;
    }
    const bytes = this.#readRange(stretch);
    const { records } = stretch;
    let runStart = 0;
    let runEnd = 0;
    const close = () => {
      if (runEnd > runStart) result.chunks.push(bytes.subarray(runStart, runEnd));
    };
    for (let i = 0; i < records.length; i += 2) {
      const at = records[i]! - stretch.from;
      if (!this.#isSound(bytes, at, { offset: records[i]!, isFirst: result.messageCount === 0 })) {
        close();
        return false;
      }
      if (at !== runEnd) {
        close();
        runStart = at;
      }
      runEnd = at + records[i + 1]!;
      result.messageCount++;
      result.sizeBytes += records[i + 1]!;
    }
    close();
    return true;
  }

  #readRange({ from, to }: Stretch): Buffer {
    const size = to - from;
    if (size > ROOM_BYTES - this.#roomUsed) return this.#view.readRange(from, to);
    const into = this.#room.subarray(this.#roomUsed, this.#roomUsed + size);
    this.#roomUsed += size;
    return this.#view.readRange(from, to, into);
  }

  #collectFromRing(stretch: Stretch, result: PullResult): void {
    const { records } = stretch;
    let from = records[0]!;
    let to = from;
    for (let i = 0; i < records.length; i += 2) {
      if (records[i] !== to) {
        this.#view.pushRingViews(from, to, result.chunks);
        from = records[i]!;
      }
      to = records[i]! + records[i + 1]!;
      result.messageCount++;
      result.sizeBytes += records[i + 1]!;
    }
    this.#view.pushRingViews(from, to, result.chunks);
  }

  #isSound(bytes: Buffer, at: number, record: { offset: number; isFirst: boolean }): boolean {
    if (record.isFirst) {
      this.#view.checkRecord(bytes, at, record.offset);
      return true;
    }
    try {
      this.#view.checkRecord(bytes, at, record.offset);
      return true;
    } catch {
      // The records before it are good: they are served now, the next pull reports the damage.
      return false;
    }
  }

  /** Queue offset of the first record that was not served. */
  #queueOffsetOf(queue: ConsumeQueue, from: number, result: PullResult): number {
    const lastChunk = result.chunks.at(-1);
    let servedEnd = -1;
    if (lastChunk !== undefined) {
      let at = 0;
      while (at < lastChunk.length) {
        servedEnd = int64At(lastChunk, at + 28);
        at += int32At(lastChunk, at);
      }
    }
    let n = from;
    while (n < queue.max && queue.physicalAt(n) <= servedEnd) n++;
    return n;
  }
}

function isWanted(run: EntryRun, at: number, codes: ReadonlySet<number> | undefined): boolean {
  if (codes === undefined) return true;
  const low = int32At(run.bytes, at + 16);
  const high = int32At(run.bytes, at + 12);
  // A tag hash is an int32; a due time of a delayed message is not and matches no tag. Far below zero
  // lies an address in Apache's consume queue extension, which we do not read: the consumer decides.
  return high === low >> 31 ? codes.has(low) : high < -1;
}

function outside(queue: ConsumeQueue, from: number): PullResult | undefined {
  const { min, max } = queue;
  if (max === 0) return emptyResult('NO_MESSAGE_IN_QUEUE', 0, queue);
  if (from < min) return emptyResult('OFFSET_TOO_SMALL', min, queue);
  if (from === max) return emptyResult('OFFSET_OVERFLOW_ONE', from, queue);
  if (from > max) return emptyResult('OFFSET_OVERFLOW_BADLY', max, queue);
  return undefined;
}

function emptyResult(
  status: PullStatus,
  next: number,
  queue: ConsumeQueue | undefined,
): PullResult {
  return {
    status,
    nextBeginOffset: queueOffset(next),
    minOffset: queueOffset(queue?.min ?? 0),
    maxOffset: queueOffset(queue?.max ?? 0),
    messageCount: 0,
    chunks: [],
    sizeBytes: 0,
  };
}
