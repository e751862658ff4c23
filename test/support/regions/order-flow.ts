// A producer inside the test that can pause, and the reader of a whole topic; both write what the judge
// reads. Each lane sends one order after the other, so the order per lane and queue is defined.

import { judge, type Verdict } from '../../../cli/demo/checker.ts';
import type { HistoryLine } from '../../../cli/demo/history.ts';
import { DrError, sleep } from '../../../core-broker/base/index.ts';
import { Producer, PullConsumer } from '../../../core-broker/client/index.ts';

export interface OrderFlowOptions {
  nameserver: string;
  topic?: string;
  lanes?: number;
  /** Pause of a lane between two orders, ms. */
  everyMs?: number;
  sendTimeoutMs?: number;
}

export class OrderFlow {
  readonly history: HistoryLine[] = [];
  readonly topic: string;
  readonly #options: Required<OrderFlowOptions>;
  readonly #producer: Producer;
  readonly #sequences: number[];
  #isRunning = false;
  #lanes: Promise<unknown> = Promise.resolve();

  constructor(options: OrderFlowOptions) {
    const defaults = { topic: 'ORDERS', lanes: 4, everyMs: 20, sendTimeoutMs: 3_000 };
    this.#options = { ...defaults, ...options };
    this.topic = this.#options.topic;
    this.#sequences = Array.from({ length: this.#options.lanes }, () => 0);
    const { nameserver, sendTimeoutMs } = this.#options;
    // Asks for the route often, as a client that is to come back quickly would.
    this.#producer = new Producer({
      nameservers: [nameserver],
      group: 'order-flow',
      routePollMs: 200,
      sendTimeoutMs,
    });
    this.#producer.start();
  }

  get acknowledged(): number {
    return this.history.filter((line) => line.phase === 'ok').length;
  }

  /** Tries beyond the first: each may have left a copy somewhere. */
  get retried(): number {
    return this.history.reduce((sum, { attempts = 1 }) => sum + attempts - 1, 0);
  }

  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#lanes = Promise.all(this.#sequences.map((_, lane) => this.#runLane(lane)));
  }

  /** Waits for the open sends. */
  async pause(): Promise<void> {
    this.#isRunning = false;
    await this.#lanes;
  }

  async stop(): Promise<void> {
    await this.pause();
    await this.#producer.stop();
  }

  /** Waits until `count` further orders are acknowledged. */
  async more(count: number, timeoutMs = 60_000): Promise<void> {
    const wanted = this.acknowledged + count;
    const deadline = performance.now() + timeoutMs;
    while (this.acknowledged < wanted) {
      if (performance.now() > deadline) {
        const last = JSON.stringify(this.history.slice(-5));
        throw new Error(`only ${this.acknowledged} of ${wanted} orders acknowledged: ${last}`);
      }
      await sleep(10);
    }
  }

  async #runLane(lane: number): Promise<void> {
    while (this.#isRunning) {
      await this.#sendOne(lane);
      await sleep(this.#options.everyMs);
    }
  }

  async #sendOne(lane: number): Promise<void> {
    const sequence = this.#sequences[lane] ?? 0;
    this.#sequences[lane] = sequence + 1;
    const key = `lane${lane}-${sequence}`;
    this.#note({ op: 'send', phase: 'invoke', key });
    try {
      const body = JSON.stringify({ order: key });
      const receipt = await this.#producer.send({ topic: this.topic, keys: key, body });
      const queue = `${receipt.queue.brokerName}:${receipt.queue.queueId}`;
      const { attempts, queueOffset: offset } = receipt;
      this.#note({ op: 'send', phase: 'ok', key, queue, offset, attempts });
    } catch (reason) {
      const isRefused = DrError.is(reason, 'REMOTE', 'NO_ROUTE', 'FENCED');
      this.#note({ op: 'send', phase: isRefused ? 'fail' : 'unknown', key });
    }
  }

  #note(line: Omit<HistoryLine, 't'>): void {
    this.history.push({ t: Date.now(), ...line });
  }
}

/** Every message a region serves now, in queue order. */
export async function auditTopic(nameserver: string, topic = 'ORDERS'): Promise<HistoryLine[]> {
  const reader = new PullConsumer({ nameservers: [nameserver], group: 'audit' });
  const lines: HistoryLine[] = [];
  reader.start();
  try {
    for (const queue of await reader.queues(topic)) {
      const end = await reader.bound(queue, 'max');
      let next = await reader.bound(queue, 'min');
      while (next < end) {
        const pulled = await reader.pull(queue, next);
        for (const message of pulled.messages) {
          const { order } = JSON.parse(message.body.toString()) as { order: string };
          const place = `${message.brokerName}:${message.queueId}`;
          const offset = message.queueOffset;
          lines.push({ t: Date.now(), op: 'audit', key: order, queue: place, offset });
        }
        next = pulled.next;
      }
    }
  } finally {
    reader.stop();
  }
  return lines;
}

export interface LogVerdict extends Verdict {
  /** Every lost key; `lostKeys` of a verdict is cut short for printing. */
  allLost: Set<string>;
}

/**
 * Judges what was acknowledged against what `nameserver` serves. The log is also taken as the one
 * consumer that reads every queue from its start, so order in the log is order of delivery.
 */
export async function judgeLog(flow: OrderFlow, nameserver: string): Promise<LogVerdict> {
  const audit = await auditTopic(nameserver, flow.topic);
  const read = audit.map((line): HistoryLine => ({ ...line, op: 'consume', reconsume: 0 }));
  const present = new Set(audit.map(({ key }) => key));
  const lost = flow.history.filter(({ phase, key }) => phase === 'ok' && !present.has(key));
  return {
    ...judge([...flow.history, ...audit, ...read]),
    allLost: new Set(lost.map(({ key }) => key)),
  };
}
