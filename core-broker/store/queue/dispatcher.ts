// Builds what is derived from the log, one record at a time and from its bytes: the consume queue
// entry, the index keys, the wake-up of held pulls. The same code serves new records (from the ring),
// the link (from received bytes) and recovery (from the files).
// Invariant: idempotent; a record that is already in its queue or index is passed over.
// Source: RocketMQ ReputMessageService / CommitLogDispatcher, behaviour only.
import { createLog } from '../../base/index.ts';
import { javaHashCodeOfBytes } from '../../protocol/index.ts';
import type { ArrivalListener } from '../door.ts';
import type { LogState } from '../log/log-state.ts';
import { isOutsideQueues, type RecordCursor } from '../log/record-bytes.ts';
import type { TagWords } from './consume-queue.ts';
import type { DelayLevels } from './delay-levels.ts';
import { DispatchProperties } from './dispatch-properties.ts';
import type { IndexSink } from './index-keys.ts';
import { indexKeys } from './index-keys.ts';
import { Topic, type TopicTable } from './topic-table.ts';

const WORD = 0x1_0000_0000;
const log = createLog('store');

/** Recovery began too late: a queue lacks entries from before; build everything again. */
export class QueueGap extends Error {}

export class Dispatcher {
  /** Recovery sets it: a gap then means that the starting point was too late. */
  isStrict = false;
  readonly #topics: TopicTable;
  readonly #state: LogState;
  readonly #delays: DelayLevels;
  readonly #index: IndexSink | undefined;
  /** Reused for every record. */
  readonly #keys: { topic: Topic; found: DispatchProperties; sink: IndexSink };
  readonly #listeners: ArrivalListener[] = [];
  readonly #found = new DispatchProperties();
  readonly #tag: TagWords = { high: 0, low: 0 };

  constructor(
    topics: TopicTable,
    state: LogState,
    parts: { delays: DelayLevels; index: IndexSink | undefined },
  ) {
    this.#topics = topics;
    this.#state = state;
    this.#delays = parts.delays;
    this.#index = parts.index;
    const none = { isKnown: () => true, put: () => undefined };
    this.#keys = { topic: new Topic('-', -1), found: this.#found, sink: parts.index ?? none };
  }

  listen(listener: ArrivalListener): void {
    this.#listeners.push(listener);
  }

  /** Dispatches the record under the cursor and moves `dispatched` behind it. */
  dispatch(buf: Buffer, record: RecordCursor): void {
    const topic = this.#topics.ofBytes(buf, record.topicStart, record.topicLength);
    this.#found.scan(buf, record.propertiesStart, record.propertiesLength);
    if (!isOutsideQueues(record.sysFlag)) this.#enqueue(buf, record, topic);
    if (this.#index !== undefined) {
      this.#keys.topic = topic;
      indexKeys(buf, record, this.#keys);
    }
    this.#state.lastRecord = record.physicalOffset;
    this.#state.lastStoreTimestampMs = record.storeTimestampMs;
    this.#state.dispatched = record.physicalOffset + record.size;
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

  #enqueue(buf: Buffer, record: RecordCursor, topic: Topic): void {
    const queue = this.#topics.queue(topic, record.queueId);
    const code = this.#tagsCode(buf, record, topic);
    this.#tag.high = Math.floor(code / WORD);
    this.#tag.low = code | 0;
    if (this.isStrict && queue.max === 0 && record.queueOffset > 0) {
      throw new QueueGap(queue.folder);
    }
    let verdict = queue.put(record.queueOffset, record, this.#tag);
    if (verdict === 'gap') {
      if (this.isStrict) throw new QueueGap(queue.folder);
      log.error('store.queue_gap', 'the log skips queue offsets; the queue is padded', {
        queue: queue.folder,
        from: queue.max,
        to: record.queueOffset,
        offset: record.physicalOffset,
      });
      queue.padTo(record.queueOffset);
      verdict = queue.put(record.queueOffset, record, this.#tag);
    }
    if (verdict === 'known') return;
    for (let i = 0; i < this.#listeners.length; i++) {
      this.#listeners[i]!.onArrival(queue, record.queueOffset + 1, code);
    }
  }

  /** Hash of the tag; for delayed messages the time they are due (ms). */
  #tagsCode(buf: Buffer, record: RecordCursor, topic: Topic): number {
    const found = this.#found;
    if (topic.isSchedule && found.delayStart >= 0) {
      const level = Number(buf.toString('latin1', found.delayStart, found.delayEnd));
      const delayMs = this.#delays.delayMs(level);
      if (delayMs !== undefined) return record.storeTimestampMs + delayMs;
    }
    if (found.tagsStart < 0 || found.tagsEnd === found.tagsStart) return 0;
    return javaHashCodeOfBytes(buf, found.tagsStart, found.tagsEnd);
  }
}
