// Builds what is derived from the log, one record at a time and from its digest: the consume queue
// entry, the index keys, the wake-up of held pulls. dispatch() makes the digest from the record's bytes
// (new records, recovery); enter() takes one that was made elsewhere (the link's checker thread).
// Invariant: idempotent; a record that is already in its queue or index is passed over.
// Source: RocketMQ ReputMessageService / CommitLogDispatcher, behaviour only.
import { createLog } from '../../base/index.ts';
import type { ArrivalListener } from '../door.ts';
import type { LogState } from '../log/log-state.ts';
import { isOutsideQueues, type RecordCursor } from '../log/record-bytes.ts';
import type { ConsumeQueue, TagWords } from './consume-queue.ts';
import type { DelayLevels } from './digest/delay-levels.ts';
import { Digester } from './digest/digester.ts';
import { RecordDigest } from './digest/record-digest.ts';
import { longAt, ROW_WORDS, RowWord, readRow, rowLength } from './digest/record-row.ts';
import type { IndexService } from './index-service.ts';
import type { Topic, TopicTable } from './topic-table.ts';

/** Rows of consecutive records; whoever enters one moves `at` behind it and counts `left` down. */
export interface RowRun {
  words: Int32Array;
  at: number;
  /** End of the words that are there. */
  end: number;
  /** Rows to enter at most. */
  left: number;
  /** Records that end behind this log offset are not entered. */
  until: number;
  /** By number in the rows. */
  topics: readonly Topic[];
}

const WORD = 0x1_0000_0000;
const log = createLog('store');

/** Recovery began too late: a queue lacks entries from before; build everything again. */
export class QueueGap extends Error {}

export class Dispatcher {
  /** Recovery sets it: a gap then means that the starting point was too late. */
  isStrict = false;
  /** Recovery sets it: everything derived was thrown away and built again. */
  wasRebuilt = false;
  readonly #topics: TopicTable;
  readonly #state: LogState;
  readonly #index: IndexService | undefined;
  readonly #digester: Digester;
  readonly #listeners: ArrivalListener[] = [];
  /** Those that hear of the run in hand. */
  readonly #hearing: ArrivalListener[] = [];
  readonly #tag: TagWords = { high: 0, low: 0 };
  /** A row that enterRun takes the long way. */
  readonly #digest = new RecordDigest();

  constructor(
    topics: TopicTable,
    state: LogState,
    parts: { delays: DelayLevels; index: IndexService | undefined },
  ) {
    this.#topics = topics;
    this.#state = state;
    this.#index = parts.index;
    this.#digester = new Digester(parts.delays, parts.index !== undefined);
  }

  listen(listener: ArrivalListener): void {
    this.#listeners.push(listener);
  }

  /** Dispatches the record under the cursor and moves `dispatched` behind it. */
  dispatch(buf: Buffer, record: RecordCursor): void {
    const topic = this.#topics.ofBytes(buf, record.topicStart, record.topicLength);
    this.enter(topic, this.#digester.make(buf, record, topic));
  }

  /**
   * The same for a record whose digest is at hand. Records are entered in log order, without a hole.
   * @param topic  of this store's table
   */
  enter(topic: Topic, digest: RecordDigest): void {
    if (digest.isQueued) this.#enqueue(topic, digest);
    if (digest.keyCount > 0) this.#indexKeys(digest);
    const state = this.#state;
    state.lastRecord = digest.physicalOffset;
    state.lastStoreTimestampMs = digest.storeTimestampMs;
    state.dispatched = digest.physicalOffset + digest.size;
  }

  /**
   * The same for rows of records, in order, until the run ends, `left` is used up or `until` is reached.
   * @throws what enter() throws; the run then stands at the row that was not entered
   */
  enterRun(run: RowRun): void {
    const { words, topics, until } = run;
    const state = this.#state;
    this.#askListeners();
    for (; run.left > 0 && run.at < run.end && words[run.at]! > 0; run.left--) {
      const { at } = run;
      if (state.dispatched + words[at]! > until) return;
      const topic = topics[words[at + RowWord.topic]!];
      if (topic === undefined) throw new Error('a record came before its topic');
      if (!this.#enterRow(topic, words, at)) {
        readRow(words, at, this.#digest);
        this.#digest.physicalOffset = state.dispatched;
        this.enter(topic, this.#digest);
      }
      run.at = at + rowLength(words, at);
    }
  }

  #askListeners(): void {
    this.#hearing.length = 0;
    for (const each of this.#listeners) if (each.isListening !== false) this.#hearing.push(each);
  }

  /** A row that is the next of its queue, which needs nothing first. False: nothing was done. */
  #enterRow(topic: Topic, words: Int32Array, at: number): boolean {
    const state = this.#state;
    const offset = state.dispatched;
    const queue = topic.queues[words[at + RowWord.queueId]!];
    if (queue === undefined || words[at + RowWord.isQueued] === 0) return false;
    const timeMs = longAt(words, at + RowWord.storeTimestamp);
    if (!queue.putRow(words, at, offset)) return false;
    for (let i = 0; i < this.#hearing.length; i++) {
      const tagsCode = longAt(words, at + RowWord.tagsCode);
      this.#hearing[i]!.onArrival(queue, queue.max, tagsCode);
    }
    const keys = words[at + RowWord.keyCount]!;
    const index = this.#index;
    if (keys > 0 && index !== undefined) {
      const first = at + ROW_WORDS;
      for (let i = index.keysOf(offset); i < keys; i++) {
        index.put(words[first + i]!, offset, timeMs);
      }
    }
    state.lastRecord = offset;
    state.lastStoreTimestampMs = timeMs;
    state.dispatched = offset + words[at]!;
    return true;
  }

  /** Recovery: the record's queue was deleted; it stays in the log and in no queue. */
  pass(record: Pick<RecordCursor, 'physicalOffset' | 'size' | 'storeTimestampMs'>): void {
    const state = this.#state;
    state.lastRecord = record.physicalOffset;
    state.lastStoreTimestampMs = record.storeTimestampMs;
    state.dispatched = record.physicalOffset + record.size;
  }

  /**
   * Recovery: a record the checkpoint vouches for must be in its queue.
   * @throws QueueGap when the queue was lost
   */
  verify(buf: Buffer, record: RecordCursor): void {
    if (isOutsideQueues(record.sysFlag)) return;
    const topic = this.#topics.ofBytes(buf, record.topicStart, record.topicLength);
    const queue = this.#topics.queue(topic, record.queueId);
    if (record.queueOffset >= queue.max) throw new QueueGap(queue.folder);
  }

  #indexKeys(digest: RecordDigest): void {
    const index = this.#index;
    const { physicalOffset, storeTimestampMs, keyCount, keyHashes } = digest;
    if (index === undefined) return;
    for (let i = index.keysOf(physicalOffset); i < keyCount; i++) {
      index.put(keyHashes[i]!, physicalOffset, storeTimestampMs);
    }
  }

  #enqueue(topic: Topic, digest: RecordDigest): void {
    const queue = this.#topics.queue(topic, digest.queueId);
    const { queueOffset, tagsCode } = digest;
    this.#tag.high = Math.floor(tagsCode / WORD);
    this.#tag.low = tagsCode | 0;
    if (this.isStrict && queue.max === 0 && queueOffset > 0) throw new QueueGap(queue.folder);
    let verdict = queue.put(queueOffset, digest, this.#tag);
    if (verdict === 'gap') {
      if (this.isStrict) throw new QueueGap(queue.folder);
      log.error('store.queue_gap', 'the log skips queue offsets; the queue is padded', {
        queue: queue.folder,
        from: queue.max,
        to: queueOffset,
        offset: digest.physicalOffset,
      });
      queue.padTo(queueOffset);
      verdict = queue.put(queueOffset, digest, this.#tag);
    }
    if (verdict === 'known') {
      if (!isNewBeginning(queue, digest)) return;
      log.info('store.queue_restarted', 'a topic was deleted and made again', {
        queue: queue.folder,
        offset: digest.physicalOffset,
      });
      queue.wipe();
      queue.put(queueOffset, digest, this.#tag);
    }
    for (let i = 0; i < this.#listeners.length; i++) {
      this.#listeners[i]!.onArrival(queue, queueOffset + 1, tagsCode);
    }
  }
}

/**
 * Offset 0 once more, behind everything the queue holds: its topic was deleted and made again, here or
 * on the broker this log comes from. Why: taken for a known record, the new messages would be lost.
 */
const isNewBeginning = (queue: ConsumeQueue, digest: RecordDigest): boolean =>
  digest.queueOffset === 0 && queue.physicalAt(queue.max - 1) < digest.physicalOffset;
