// Topics whose queues were deleted while their records still lie in the log: `drDeletedTopics` in the
// store root, topic -> end of the log at that moment. A record of such a topic below that end belongs to
// a queue that is gone: recovery must neither miss it nor bring it back, because a topic made again
// under the same name counts its queue offsets from 0.
// Order of a deletion: noted here (durable) -> queue files removed; a crash in between is finished by
// complete() at the next boot. Source: ours; a stock broker brings such queues back in part.
import { readTextIfExists, writeAtomicSync } from '../../base/index.ts';
import type { RecordCursor } from '../log/record-bytes.ts';
import type { TopicTable } from './topic-table.ts';

export class DeletedTopics {
  readonly #file: string;
  readonly #ends = new Map<string, number>();

  constructor(file: string) {
    this.#file = file;
    const saved: unknown = JSON.parse(readTextIfExists(file) ?? '{}');
    for (const [topic, end] of Object.entries(saved as Record<string, unknown>)) {
      if (typeof end === 'number') this.#ends.set(topic, end);
    }
  }

  get isEmpty(): boolean {
    return this.#ends.size === 0;
  }

  /** Topic -> end of the log when its queues were deleted, as far as the log still reaches. */
  content(): Record<string, number> {
    return Object.fromEntries(this.#ends);
  }

  /** A deletion of the source this log is copied from. @returns false when it is known. Durable */
  follow(topic: string, end: number): boolean {
    if ((this.#ends.get(topic) ?? 0) >= end) return false;
    this.#ends.set(topic, end);
    this.#save();
    return true;
  }

  /** Whether a record of the topic at this place belongs to deleted queues. */
  hides(topic: string, physicalOffset: number): boolean {
    return physicalOffset < (this.#ends.get(topic) ?? 0);
  }

  hidesRecord(buf: Buffer, record: RecordCursor): boolean {
    if (this.isEmpty) return false;
    const { topicStart, topicLength } = record;
    const topic = buf.toString('utf8', topicStart, topicStart + topicLength);
    return this.hides(topic, record.physicalOffset);
  }

  /** Notes a deletion and forgets those the log no longer reaches back to. Durable on return. */
  add(topic: string, logEnd: number, logMin: number): void {
    for (const [name, end] of this.#ends) if (end <= logMin) this.#ends.delete(name);
    this.#ends.set(topic, logEnd);
    this.#save();
  }

  /** The log was cut: what comes behind `end` now is another history. Durable on return. */
  cut(end: number): void {
    const beyond = [...this.#ends].filter(([, noted]) => noted > end);
    if (beyond.length === 0) return;
    for (const [topic] of beyond) this.#ends.set(topic, end);
    this.#save();
  }

  /** Removes queues whose deletion was noted but not finished. */
  complete(topics: TopicTable): void {
    for (const [name, end] of this.#ends) {
      const queues = topics.queuesOf(name).filter((queue) => queue.exists);
      const isOld = queues.every((queue) => queue.isEmpty || queue.physicalAt(queue.max - 1) < end);
      if (queues.length > 0 && isOld) topics.removeQueues(name);
    }
  }

  #save(): void {
    writeAtomicSync(this.#file, JSON.stringify(Object.fromEntries(this.#ends)));
  }
}
