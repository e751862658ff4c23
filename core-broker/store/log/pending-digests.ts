// Digests of records that were appended here and are not dispatched yet. Who appends often knows already
// where tag and keys stand (RecordSource.marks); a digest made then saves reading the record once more.
// Only an aid: a record without one, or one that is not the record in the ring, is digested from its bytes.
// Invariant: in log order; a digest is handed out only for the very record it was made of (offset, size,
// queue offset and body CRC are compared), and all are forgotten when the log was cut: a record that takes the
// place of another may equal it in all of these and belong to another queue.
import { javaHashCodeOfBytes } from '../../protocol/index.ts';
import type { AppendResult, PropertyMarks, RecordSource } from '../door.ts';
import { DispatchProperties } from '../queue/digest/dispatch-properties.ts';
import { indexKeys } from '../queue/digest/index-keys.ts';
import { RecordDigest } from '../queue/digest/record-digest.ts';
import type { Topic } from '../queue/topic-table.ts';
import type { LogState } from './log-state.ts';
import { isOutsideQueues, isRecordAt } from './record-bytes.ts';
import type { Ring } from './ring.ts';

/** Power of two; more than one loop turn appends under heavy load. */
const SLOTS = 4096;

interface PendingDigest {
  topic: Topic | undefined;
  bodyCrc: number;
  readonly digest: RecordDigest;
}

/** True when the digest was made of the very record at `at` of the ring. */
const isOf = ({ digest, bodyCrc }: PendingDigest, { view }: Ring, at: number): boolean =>
  isRecordAt(view, at, digest) && view.getInt32(at + 8) === bodyCrc;

export class PendingDigests {
  readonly #ring: Ring;
  readonly #hasIndex: boolean;
  readonly #state: LogState;
  readonly #slots: PendingDigest[] = [];
  /** Places in the ring. */
  readonly #found = new DispatchProperties();
  readonly #keys = { prefix: 0, found: this.#found, digest: new RecordDigest() };
  #head = 0;
  #tail = 0;
  #cuts: number;

  constructor({ ring, state }: { ring: Ring; state: LogState }, hasIndex: boolean) {
    this.#ring = ring;
    this.#state = state;
    this.#cuts = state.cuts;
    this.#hasIndex = hasIndex;
  }

  /** Keeps the digest of a record with marks that was encoded at `at` of the ring. */
  note(record: RecordSource, result: AppendResult, at: number): void {
    const { marks } = record;
    if (this.#cuts !== this.#state.cuts) this.#forget();
    if (marks === undefined || this.#tail - this.#head === SLOTS) return;
    const slot = this.#slotFor(this.#tail++);
    const { digest } = slot;
    slot.topic = record.topic as Topic;
    slot.bodyCrc = this.#ring.view.getInt32(at + 8);
    digest.begin();
    digest.physicalOffset = result.physicalOffset;
    digest.size = result.sizeBytes;
    digest.queueId = record.queueId;
    digest.queueOffset = result.queueOffset;
    digest.storeTimestampMs = result.storeTimestampMs;
    digest.isQueued = !isOutsideQueues(record.sysFlag);
    this.#place(marks, at + result.sizeBytes - record.propertiesLength);
    const { tagsStart, tagsEnd } = this.#found;
    const { bytes } = this.#ring;
    const hasTag = digest.isQueued && tagsEnd > tagsStart;
    digest.tagsCode = hasTag ? javaHashCodeOfBytes(bytes, tagsStart, tagsEnd) : 0;
    if (!this.#hasIndex) return;
    this.#keys.prefix = slot.topic.keyHash;
    this.#keys.digest = digest;
    indexKeys(bytes, record.sysFlag, this.#keys);
  }

  /** The digest of the record at `offset`, which stands at `at` of the ring; undefined = none is kept. */
  of(offset: number, at: number): PendingDigest | undefined {
    if (this.#cuts !== this.#state.cuts) this.#forget();
    while (this.#head < this.#tail) {
      const slot = this.#slots[this.#head & (SLOTS - 1)]!;
      const { digest } = slot;
      if (digest.physicalOffset > offset) return undefined;
      if (digest.physicalOffset === offset && isOf(slot, this.#ring, at)) return slot;
      this.#head++;
    }
    return undefined;
  }

  /** The record that of() gave was dispatched. */
  shift(): void {
    if (++this.#head < this.#tail) return;
    // Why: the slots of the last turn are still in the cache.
    this.#head = 0;
    this.#tail = 0;
  }

  #forget(): void {
    this.#cuts = this.#state.cuts;
    this.#head = 0;
    this.#tail = 0;
  }

  /** Marks of the properties as places in the ring. */
  #place(marks: PropertyMarks, at: number): void {
    const found = this.#found;
    const hasTags = marks.tagsStart >= 0;
    found.tagsStart = hasTags ? at + marks.tagsStart : -1;
    found.tagsEnd = hasTags ? at + marks.tagsEnd : -1;
    found.keysStart = marks.keysStart < 0 ? -1 : at + marks.keysStart;
    found.keysEnd = at + marks.keysEnd;
    found.uniqStart = marks.uniqStart < 0 ? -1 : at + marks.uniqStart;
    found.uniqEnd = at + marks.uniqEnd;
  }

  #slotFor(n: number): PendingDigest {
    const at = n & (SLOTS - 1);
    const known = this.#slots[at];
    if (known !== undefined) return known;
    const made = { topic: undefined, bodyCrc: 0, digest: new RecordDigest() };
    this.#slots[at] = made;
    return made;
  }
}
