// Compares what is derived from the log with the log: every record of the log in its queue, at its queue
// offset, with its size and tag; every key in the index; nothing that points beyond the log. Reads only.
// After an end without goodbye the last entries may be missing: the next start builds them, so they are
// counted apart and are no faults.
// Invariant: counts are exact, examples are the first few.
// Source: ours.
import * as fs from 'node:fs';
import { readCheckpoint } from '../boot/checkpoint.ts';
import { dispatchStart } from '../boot/dispatch-start.ts';
import { CQ_BLANK_SIZE, CQ_ENTRY_BYTES } from '../layout.ts';
import { LogState } from '../log/log-state.ts';
import { int32At, int64At } from '../log/record-bytes.ts';
import type { ConsumeQueue, EntryRun } from '../queue/consume-queue.ts';
import { DeletedTopics } from '../queue/deleted-topics.ts';
import type { RecordDigest } from '../queue/digest/record-digest.ts';
import type { IndexEntry } from '../queue/index-file.ts';
import type { Topic } from '../queue/topic-table.ts';
import { surveyTail } from '../read/log-scan.ts';
import { type ClosedStore, type ClosedStoreOptions, openClosedStore } from './closed-store.ts';
import { type OnDigest, walkDigests } from './digest-walk.ts';

const RUN_ENTRIES = 1024;
const EXAMPLES_MAX = 20;
const WORD = 0x1_0000_0000;

export interface QueueFault {
  kind: 'missing' | 'wrong' | 'beyond' | 'index';
  topic: string;
  queueId: number;
  queueOffset: number;
  physicalOffset: number;
}

export interface VerifyReport {
  fromOffset: number;
  endOffset: number;
  records: number;
  queues: number;
  /** Records without an entry in their queue. */
  missing: number;
  /** Entries that lead elsewhere or carry another size or tag. */
  wrong: number;
  /** Entries that point at or beyond the end of the log. */
  beyond: number;
  /** Index entries that are missing or lead elsewhere; 0 when there is no index. */
  indexFaults: number;
  indexEntries: number;
  /** Faults of the four kinds above that the next start mends: it builds everything from there. */
  pending: number;
  /** Where the next start begins to build; undefined after a clean end. */
  pendingFrom: number | undefined;
  /** The log: a damaged record with valid ones behind it. */
  damage: { file: string; offset: number; nextValidOffset: number } | undefined;
  hasTornTail: boolean;
  /** The first few faults. */
  faults: QueueFault[];
}

/**
 * Verifies log, queues and index of a store that nobody writes to.
 * @throws DrError NOT_FOUND (no log), CORRUPT (files of wrong names or sizes), CANCELLED
 */
export async function verifyQueues(
  rootDir: string,
  options: ClosedStoreOptions & {
    onProgress?: (doneBytes: number, totalBytes: number) => void;
    signal?: AbortSignal;
  } = {},
): Promise<VerifyReport> {
  const store = openClosedStore(rootDir, options);
  try {
    store.topics.recover();
    store.index?.load();
    const check = new QueueCheck(store);
    const state = new LogState();
    const take: OnDigest = (topic, digest) => {
      check.record(topic, digest);
      state.dispatched = digest.physicalOffset + digest.size;
    };
    const { onProgress, signal } = options;
    const walk = { state, hasIndex: check.hasIndex, onProgress, signal };
    return check.finish(await walkDigests(store, take, walk));
  } finally {
    store.close();
  }
}

class QueueCheck {
  /** The index has entries to compare. */
  readonly hasIndex: boolean;
  readonly #store: ClosedStore;
  readonly #deleted: DeletedTopics;
  readonly #pendingFrom: number;
  readonly #runs = new Map<ConsumeQueue, { from: number; run: EntryRun }>();
  readonly #entries: Iterator<IndexEntry> | undefined;
  #entry: IndexEntry | undefined;
  readonly #report: VerifyReport;

  constructor(store: ClosedStore) {
    this.#store = store;
    this.#deleted = new DeletedTopics(store.layout.drDeletedTopics);
    this.#entries = store.index?.entries()[Symbol.iterator]();
    this.#nextEntry();
    this.hasIndex = this.#entry !== undefined;
    const { minOffset } = store.files;
    this.#pendingFrom = pendingFrom(store);
    // Entries of records that retention removed come first.
    while (this.#entry !== undefined && this.#entry.physicalOffset < minOffset) this.#nextEntry();
    this.#report = {
      fromOffset: minOffset,
      endOffset: minOffset,
      records: 0,
      queues: 0,
      missing: 0,
      wrong: 0,
      beyond: 0,
      indexFaults: 0,
      indexEntries: 0,
      pending: 0,
      pendingFrom: Number.isFinite(this.#pendingFrom) ? this.#pendingFrom : undefined,
      damage: undefined,
      hasTornTail: false,
      faults: [],
    };
  }

  record(topic: Topic, digest: RecordDigest): void {
    const { topics } = this.#store;
    this.#report.records++;
    if (this.#deleted.hides(topic.name, digest.physicalOffset)) {
      // Its keys may still be in the index.
      while (this.#entry?.physicalOffset === digest.physicalOffset) this.#nextEntry();
      return;
    }
    if (digest.isQueued) this.#checkEntry(topics.queue(topic, digest.queueId), digest);
    for (let i = 0; i < digest.keyCount; i++) this.#checkKey(digest, i, topic.name);
  }

  finish(end: number): VerifyReport {
    const report = this.#report;
    const { files, topics } = this.#store;
    report.endOffset = end;
    for (const queue of topics.all()) {
      if (!queue.exists) continue;
      report.queues++;
      this.#checkEnd(queue, end);
    }
    for (; this.#entry !== undefined; this.#nextEntry()) {
      const { physicalOffset } = this.#entry;
      this.#blame({ kind: 'index', topic: '', queueId: -1, queueOffset: -1, physicalOffset });
    }
    const survey = surveyTail(files, end);
    report.hasTornTail = survey.hasBytes && survey.nextRecord < 0;
    if (survey.nextRecord >= 0) {
      const file = files.find(end)?.path ?? files.folder;
      report.damage = { file, offset: end, nextValidOffset: survey.nextRecord };
    }
    return report;
  }

  #checkEntry(queue: ConsumeQueue, digest: RecordDigest): void {
    const { queueOffset, physicalOffset } = digest;
    const { topic, queueId } = queue;
    const fault = { topic, queueId, queueOffset, physicalOffset };
    if (queueOffset < queue.min || queueOffset >= queue.max) {
      this.#blame({ kind: 'missing', ...fault });
      return;
    }
    const { run, at } = this.#entryOf(queue, queueOffset);
    const isRight =
      int64At(run.bytes, at) === physicalOffset &&
      int32At(run.bytes, at + 8) === digest.size &&
      int32At(run.bytes, at + 12) === Math.floor(digest.tagsCode / WORD) &&
      int32At(run.bytes, at + 16) === (digest.tagsCode | 0);
    if (isRight) return;
    const isBlank = int32At(run.bytes, at + 8) === CQ_BLANK_SIZE;
    this.#blame({ kind: isBlank ? 'missing' : 'wrong', ...fault });
  }

  #entryOf(queue: ConsumeQueue, n: number): { run: EntryRun; at: number } {
    let held = this.#runs.get(queue);
    if (held === undefined || n < held.from || n >= held.from + held.run.count) {
      held = { from: n, run: queue.read(n, RUN_ENTRIES) };
      this.#runs.set(queue, held);
    }
    return { run: held.run, at: held.run.at + (n - held.from) * CQ_ENTRY_BYTES };
  }

  #checkKey(digest: RecordDigest, i: number, topic: string): void {
    const entry = this.#entry;
    const { physicalOffset, queueId, queueOffset } = digest;
    if (entry?.physicalOffset === physicalOffset && entry.keyHash === digest.keyHashes[i]) {
      this.#nextEntry();
      this.#report.indexEntries++;
      return;
    }
    this.#blame({ kind: 'index', topic, queueId, queueOffset, physicalOffset });
    // An entry of a record that has passed belongs to none; the rest is compared again from here.
    while (this.#entry !== undefined && this.#entry.physicalOffset < physicalOffset) {
      this.#nextEntry();
    }
  }

  /** Entries are in log order, so only the last ones can point beyond. */
  #checkEnd(queue: ConsumeQueue, end: number): void {
    for (let n = queue.max - 1; n >= queue.min; n--) {
      const physicalOffset = queue.physicalAt(n);
      if (physicalOffset < end) return;
      const { topic, queueId } = queue;
      this.#blame({ kind: 'beyond', topic, queueId, queueOffset: n, physicalOffset });
    }
  }

  #nextEntry(): void {
    const next = this.#entries?.next();
    this.#entry = next?.done === false ? next.value : undefined;
  }

  #blame(fault: QueueFault): void {
    if (fault.physicalOffset >= this.#pendingFrom) {
      this.#report.pending++;
      return;
    }
    this.#report[fault.kind === 'index' ? 'indexFaults' : fault.kind]++;
    if (this.#report.faults.length < EXAMPLES_MAX) this.#report.faults.push(fault);
  }
}

function pendingFrom({ layout, files, topics }: ClosedStore): number {
  if (!fs.existsSync(layout.abort)) return Number.POSITIVE_INFINITY;
  return dispatchStart({ files, topics }, readCheckpoint(layout.checkpoint), true);
}
