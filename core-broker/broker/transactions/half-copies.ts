// Which half messages of a stretch were put again: UNIQ_KEY -> the last copy. Needed after a promotion, when
// the position may be younger than the log: what was put again at the old side after the last byte that
// came over is only here as its original. The walk goes back a little and passes originals whose copy
// did come over; the others are asked about again. Source: ours; a slave of Apache forgets them.
import { type DecodedRecord, Property, parseMessageProperties } from '../../protocol/index.ts';
import type { HalfQueues } from './half-queues.ts';

const READS_PER_STEP = 64;

export class HalfCopies {
  readonly #queues: HalfQueues;
  readonly #last = new Map<string, number>();
  #at: number;

  constructor(queues: HalfQueues, from: number) {
    this.#queues = queues;
    this.#at = from;
  }

  /** One tick of reading; false at the end of the queue. */
  readMore(): boolean {
    for (let i = 0; i < READS_PER_STEP; i++) {
      const { records, next } = this.#queues.half(this.#at);
      if (next <= this.#at) return false;
      for (const record of records) this.#note(record);
      this.#at = next;
    }
    return true;
  }

  /** True when a copy of this message stands behind it. */
  isBehind(record: DecodedRecord, properties: Map<string, string>): boolean {
    const last = this.#last.get(properties.get(Property.UNIQ_KEY) ?? '');
    return last !== undefined && last > record.queueOffset;
  }

  #note({ properties: text, queueOffset }: DecodedRecord): void {
    const properties = parseMessageProperties(text);
    const key = properties.get(Property.UNIQ_KEY);
    const isCopy =
      properties.has(Property.TRANSACTION_CHECK_TIMES) ||
      properties.has(Property.TRAN_PREPARED_QUEUE_OFFSET);
    if (key && isCopy) this.#last.set(key, queueOffset);
  }
}
