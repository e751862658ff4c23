// Counts what tools ask for: puts per topic, gets per topic and group, send-backs, totals of the broker.
// Sends count on the Topic object (plain fields); everything else is a map entry. Windows are sampled
// every 10 s. Source: BrokerStatsManager of RocketMQ (code 315), behaviour only.
import type { Clock } from '../../base/index.ts';
import type { TopicTable } from '../metadata/index.ts';
import { RateWindow } from './rate-window.ts';

const SAMPLE_MS = 10_000;
/** Keys per statistic; further ones are not counted. */
const KEYS_MAX = 100_000;

export type StatName =
  | 'TOPIC_PUT_NUMS'
  | 'TOPIC_PUT_SIZE'
  | 'GROUP_GET_NUMS'
  | 'GROUP_GET_SIZE'
  | 'SNDBCK_PUT_NUMS'
  | 'BROKER_PUT_NUMS'
  | 'BROKER_GET_NUMS';

const NAMES: readonly StatName[] = [
  'TOPIC_PUT_NUMS',
  'TOPIC_PUT_SIZE',
  'GROUP_GET_NUMS',
  'GROUP_GET_SIZE',
  'SNDBCK_PUT_NUMS',
  'BROKER_PUT_NUMS',
  'BROKER_GET_NUMS',
];

export class BrokerStats {
  readonly #clock: Clock;
  readonly #topics: TopicTable;
  readonly #items = new Map<StatName, Map<string, RateWindow>>(NAMES.map((n) => [n, new Map()]));
  #timer: NodeJS.Timeout | undefined;
  readonly bootMs: number;
  putTotal = 0;
  putBytesTotal = 0;
  putFailedTotal = 0;
  getTotal = 0;
  getBytesTotal = 0;
  getMissTotal = 0;

  constructor(topics: TopicTable, clock: Clock) {
    this.#topics = topics;
    this.#clock = clock;
    this.bootMs = clock.nowMs();
  }

  start(): void {
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  countGet(topic: string, group: string, got: { messages: number; bytes: number }): void {
    if (got.messages === 0) {
      this.getMissTotal++;
      return;
    }
    this.getTotal += got.messages;
    this.getBytesTotal += got.bytes;
    const key = `${topic}@${group}`;
    this.#item('GROUP_GET_NUMS', key)?.add(got.messages);
    this.#item('GROUP_GET_SIZE', key)?.add(got.bytes);
  }

  countSendBack(topic: string, group: string): void {
    this.#item('SNDBCK_PUT_NUMS', `${topic}@${group}`)?.add(1);
  }

  /** The item a tool asks for, or undefined when there is none. */
  find(name: string, key: string): RateWindow | undefined {
    this.#sample();
    return this.#items.get(name as StatName)?.get(key);
  }

  /** Messages per second over the last minute. */
  perSecond(name: 'BROKER_PUT_NUMS' | 'BROKER_GET_NUMS' | 'TOPIC_PUT_NUMS', key: string): number {
    return this.#items.get(name)?.get(key)?.figures('minute', this.#clock.nowMs()).tps ?? 0;
  }

  /** Key of the BROKER_ items. */
  static readonly BROKER_KEY = 'broker';

  #item(name: StatName, key: string): RateWindow | undefined {
    const items = this.#items.get(name);
    const present = items?.get(key);
    if (present || !items || items.size >= KEYS_MAX) return present;
    const made = new RateWindow();
    made.sample(this.#clock.nowMs());
    items.set(key, made);
    return made;
  }

  #sample(): void {
    this.#take('BROKER_PUT_NUMS', BrokerStats.BROKER_KEY, this.putTotal);
    this.#take('BROKER_GET_NUMS', BrokerStats.BROKER_KEY, this.getTotal);
    for (const topic of this.#topics.topics()) {
      if (topic.putCount === 0) continue;
      this.#take('TOPIC_PUT_NUMS', topic.config.topicName, topic.putCount);
      this.#take('TOPIC_PUT_SIZE', topic.config.topicName, topic.putBytes);
    }
    const nowMs = this.#clock.nowMs();
    for (const items of this.#items.values()) {
      for (const item of items.values()) item.sample(nowMs);
    }
  }

  /** Brings an item to a running total. */
  #take(name: StatName, key: string, total: number): void {
    const item = this.#item(name, key);
    if (item) item.add(total - item.sum);
  }
}
