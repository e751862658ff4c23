// Was this message delivered (or rolled) before, in the time that no checkpoint covers? The log knows:
// the delivered record has the same UNIQ_KEY and TIMER_OUT_MS, and the index finds it by key.
// Without an index, or without a key, the answer is no: a duplicate is better than a loss.
import {
  decodeRecord,
  Property,
  parseMessageProperties,
  TIMER_TOPIC,
} from '../../protocol/index.ts';
import type { MessageStore } from '../../store/index.ts';
import type { TimerStart } from './timer-books.ts';
import { rollsOf, type TimerMessage } from './timer-message.ts';

const HITS_MAX = 64;

export class PastDeliveries {
  readonly #store: MessageStore;
  readonly #start: TimerStart;

  constructor(store: MessageStore, start: TimerStart) {
    this.#store = store;
    this.#start = start;
  }

  /** False for nearly every message: only what was there at the start and due by then is in doubt. */
  isDoubtful(queueOffset: number, slotMs: number): boolean {
    return queueOffset < this.#start.doubtQueueEnd && slotMs <= this.#start.doubtUntilMs;
  }

  wasDelivered(message: TimerMessage): Promise<boolean> {
    return this.#has(message, message.topic, () => true);
  }

  wasRolled(message: TimerMessage): Promise<boolean> {
    const rolls = rollsOf(message.properties) + 1;
    return this.#has(message, TIMER_TOPIC, (found) => rollsOf(found) === rolls);
  }

  async #has(
    message: TimerMessage,
    topic: string,
    matches: (found: ReadonlyMap<string, string>) => boolean,
  ): Promise<boolean> {
    const { uniqKey, record } = message;
    if (uniqKey === undefined) return false;
    const times = { beginMs: record.storeTimestampMs, endMs: Number.MAX_SAFE_INTEGER };
    const refs = await this.#store.find({ topic, key: uniqKey, ...times }, HITS_MAX);
    const due = message.properties.get(Property.TIMER_OUT_MS);
    return refs.some(({ physicalOffset }) => {
      const found = decodeRecord(this.#store.readRecord(physicalOffset));
      const properties = parseMessageProperties(found.properties);
      if (properties.get(Property.TIMER_DEL_UNIQKEY) !== message.deleteKey) return false;
      return properties.get(Property.TIMER_OUT_MS) === due && matches(properties);
    });
  }
}
