// Counts what tools ask for by code 315: puts per topic, gets per topic and group, send-backs, dead
// letters, totals of the broker, and the totals of each morning.
// Sends count on the Topic object (plain fields), one pull counts in two map entries; windows are sampled
// on a beat of 10 s, rates every second. Totals begin at 0 with the process, as Apache's do.
// Source: BrokerStatsManager, BrokerStats of RocketMQ, behaviour only.
import type { Clock } from '../../base/index.ts';
import { isSystemTopic } from '../../protocol/index.ts';
import type { TopicTable } from '../metadata/index.ts';
import { PutTimes } from './put-times.ts';
import { StatsItem, WINDOWS, type WindowName } from './stats-item.ts';
import { Throughput, type Totals } from './throughput.ts';

const BEAT_MS = WINDOWS.minute.everyMs;
const BEATS_PER = {
  minute: 1,
  hour: WINDOWS.hour.everyMs / BEAT_MS,
  day: WINDOWS.day.everyMs / BEAT_MS,
};
const BEATS_PER_MINUTE = 60_000 / BEAT_MS;
const RATE_BEAT_MS = 1_000;
/** Last part of a key of SNDBCK2DLQ_TIMES. */
const SENT_BACK_DEAD = 'SEND_BACK_TO_DLQ';
/** Keys per statistic; further ones are not counted. */
const KEYS_MAX = 100_000;

const NAMES = [
  'TOPIC_PUT_NUMS',
  'TOPIC_PUT_SIZE',
  'GROUP_GET_NUMS',
  'GROUP_GET_SIZE',
  'GROUP_GET_LATENCY',
  'SNDBCK_PUT_NUMS',
  'SNDBCK2DLQ_TIMES',
  'DLQ_PUT_NUMS',
  'BROKER_PUT_NUMS',
  'BROKER_GET_NUMS',
  'BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC',
  'BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC',
] as const;

export type StatName = (typeof NAMES)[number];

/** Totals at the last two midnights. */
interface Mornings {
  putYesterday: number;
  putToday: number;
  getYesterday: number;
  getToday: number;
}

/** What one pull brought. */
export interface Got {
  messages: number;
  bytes: number;
  queueId: number;
  tookMs: number;
}

/** What became of half messages since start. */
export class TransactionCounts {
  halves = 0;
  commits = 0;
  rollbacks = 0;
  checks = 0;
  /** Checks without a producer that could be asked. */
  unasked = 0;
  givenUp = 0;
}

export class BrokerStats implements Totals {
  readonly #clock: Clock;
  readonly #topics: TopicTable;
  readonly #clusterName: string;
  readonly #items = new Map<string, Map<string, StatsItem>>(NAMES.map((n) => [n, new Map()]));
  readonly #timers: NodeJS.Timeout[] = [];
  readonly rates = new Throughput();
  readonly putTimes = new PutTimes();
  readonly mornings: Mornings = { putYesterday: 0, putToday: 0, getYesterday: 0, getToday: 0 };
  readonly bootMs: number;
  putTotal = 0;
  putBytesTotal = 0;
  putFailedTotal = 0;
  getTotal = 0;
  getBytesTotal = 0;
  getFoundTimes = 0;
  getMissTotal = 0;
  readonly transactions: TransactionCounts = new TransactionCounts();
  /** Slowest pull so far, ms. */
  getMaxMs = 0;
  #getSystemTotal = 0;
  #beats = 0;
  #day: number;

  constructor(topics: TopicTable, clock: Clock, clusterName: string) {
    this.#topics = topics;
    this.#clock = clock;
    this.#clusterName = clusterName;
    this.bootMs = clock.nowMs();
    this.#day = new Date(this.bootMs).getDate();
  }

  start(): void {
    this.#note();
    this.#timers.push(setInterval(() => this.sample(), BEAT_MS).unref());
    this.#timers.push(setInterval(() => this.#note(), RATE_BEAT_MS).unref());
  }

  stop(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer);
  }

  /** A message written by another road than a plain send, e.g. a delivery after its delay. */
  countPut(topicName: string, bytes: number): void {
    const topic = this.#topics.find(topicName);
    if (topic === undefined) return;
    topic.putCount++;
    topic.putBytes += bytes;
    this.putTotal++;
    this.putBytesTotal += bytes;
  }

  countGet(topic: string, group: string, got: Got): void {
    if (got.tookMs > this.getMaxMs) this.getMaxMs = got.tookMs;
    if (got.messages === 0) {
      this.getMissTotal++;
      return;
    }
    this.getFoundTimes++;
    this.getTotal += got.messages;
    this.getBytesTotal += got.bytes;
    if (isSystemTopic(topic)) this.#getSystemTotal += got.messages;
    const key = `${topic}@${group}`;
    this.#item('GROUP_GET_NUMS', key)?.add(got.messages);
    this.#item('GROUP_GET_SIZE', key)?.add(got.bytes);
    this.#item('GROUP_GET_LATENCY', `${got.queueId}@${key}`)?.add(Math.round(got.tookMs));
  }

  /** @param topic  where the message was first sent to, however often it came back */
  countSendBack(topic: string, group: string): void {
    this.#item('SNDBCK_PUT_NUMS', `${topic}@${group}`)?.add(1);
  }

  /** @param ext  of the request: Apache's key holds owner and origin topic as they were sent, or null */
  countDeadLetter(topic: string, group: string, ext: Record<string, string>): void {
    this.#item('DLQ_PUT_NUMS', `${topic}@${group}`)?.add(1);
    const { Owner: owner = 'null', originTopic = 'null' } = ext;
    this.#item('SNDBCK2DLQ_TIMES', `${owner}@${originTopic}@${group}@${SENT_BACK_DEAD}`)?.add(1);
  }

  /** The item a tool asks for, or undefined when there is none. */
  find(name: string, key: string): StatsItem | undefined {
    if (this.#items.get(name)?.has(key) !== true) this.#takeTotals();
    return this.#items.get(name)?.get(key);
  }

  /** Per second over the last minute. */
  perSecond(name: StatName, key: string): number {
    return this.#items.get(name)?.get(key)?.figures('minute').tps ?? 0;
  }

  /** Keys of a statistic that were ever counted. */
  keys(name: StatName): Iterable<string> {
    return this.#items.get(name)?.keys() ?? [];
  }

  /** Messages to and from topics that are not RocketMQ's own. */
  get userTotals(): { put: number; get: number } {
    let systemPut = 0;
    for (const topic of this.#topics.topics()) {
      if (topic.putCount > 0 && isSystemTopic(topic.config.topicName)) systemPut += topic.putCount;
    }
    return { put: this.putTotal - systemPut, get: this.getTotal - this.#getSystemTotal };
  }

  /** The topic was deleted. */
  forgetTopic(topic: string): void {
    for (const name of ['TOPIC_PUT_NUMS', 'TOPIC_PUT_SIZE']) this.#items.get(name)?.delete(topic);
    this.#forget((key) => key.startsWith(`${topic}@`) || key.includes(`@${topic}@`));
  }

  /** The group was deleted. */
  forgetGroup(group: string): void {
    const dead = `@${group}@${SENT_BACK_DEAD}`;
    this.#forget((key) => key.endsWith(`@${group}`) || key.endsWith(dead));
  }

  /** One beat of the windows; public so that tests keep their own time. */
  sample(): void {
    this.#takeTotals();
    this.#beats++;
    const nowMs = this.#clock.nowMs();
    for (const window of Object.keys(WINDOWS) as WindowName[]) {
      if (this.#beats % BEATS_PER[window] !== 0 && this.#beats !== 1) continue;
      for (const items of this.#items.values()) {
        for (const item of items.values()) item.sample(window, nowMs);
      }
    }
    if (this.#beats % BEATS_PER_MINUTE === 0) this.putTimes.turn();
    this.#turnDay(nowMs);
  }

  #note(): void {
    this.rates.note(this, this.#clock.nowMs());
  }

  #turnDay(nowMs: number): void {
    const day = new Date(nowMs).getDate();
    if (day === this.#day) return;
    this.#day = day;
    const { mornings, userTotals } = this;
    mornings.putYesterday = mornings.putToday;
    mornings.getYesterday = mornings.getToday;
    mornings.putToday = userTotals.put;
    mornings.getToday = userTotals.get;
  }

  #forget(isGone: (key: string) => boolean): void {
    for (const items of this.#items.values()) {
      for (const key of [...items.keys()].filter(isGone)) items.delete(key);
    }
  }

  #item(name: StatName, key: string): StatsItem | undefined {
    const items = this.#items.get(name);
    const present = items?.get(key);
    if (present || !items || items.size >= KEYS_MAX) return present;
    const made = new StatsItem();
    items.set(key, made);
    return made;
  }

  /** What is counted elsewhere comes into its items. */
  #takeTotals(): void {
    const { userTotals } = this;
    const key = this.#clusterName;
    this.#take('BROKER_PUT_NUMS', key, [this.putTotal, this.putTotal]);
    this.#take('BROKER_GET_NUMS', key, [this.getTotal, this.getFoundTimes]);
    this.#take('BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC', key, [userTotals.put, 0]);
    this.#take('BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC', key, [userTotals.get, 0]);
    for (const topic of this.#topics.topics()) {
      if (topic.putCount === 0) continue;
      const { putCount, putBytes } = topic;
      this.#take('TOPIC_PUT_NUMS', topic.config.topicName, [putCount, putCount]);
      this.#take('TOPIC_PUT_SIZE', topic.config.topicName, [putBytes, putCount]);
    }
  }

  #take(name: StatName, key: string, [value, times]: [number, number]): void {
    if (value === 0) return;
    const item = this.#item(name, key);
    if (item === undefined) return;
    item.value = value;
    item.times = times;
  }
}
