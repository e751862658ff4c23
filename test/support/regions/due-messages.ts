// Messages that come due while a region changes: timers, delayed ones, open transactions and retries,
// each known by its body. One client behind the gateway; it says hello again when it was cut off.
import { PushConsumer } from '../../../core-broker/client/index.ts';
import { type DecodedRecord, RequestCode } from '../../../core-broker/protocol/index.ts';
import { sendFields } from '../broker-fixture.ts';
import { COMMIT, TransactionClient } from '../transactions.ts';

export const COUNTS = { timers: 200, delayed: 200, halves: 50, retries: 20 };
/** Broker settings under which all of it comes due within seconds. */
export const DUE_LINES = [
  'messageDelayLevel=3s 5s 7s 9s',
  'transactionCheckInterval=1000',
  'transactionTimeOut=1500',
  'transactionCheckMax=1000',
];
const FIRST_DUE_MS = 2_000;
const SPREAD_MS = 15_000;

export class DueMessages {
  readonly client: TransactionClient;
  readonly #consumer: PushConsumer;
  readonly #attempts = new Map<string, number[]>();
  readonly #hello: NodeJS.Timeout;

  constructor(gateway: string, nameserver: string) {
    this.client = new TransactionClient(() => gateway, 'due_group');
    // Nobody answers before the region has changed: what is open then must be asked again.
    this.#consumer = new PushConsumer({
      nameservers: [nameserver],
      group: 'due-readers',
      topics: { RETRIED: '*' },
      from: 'first',
      onMessage: (message) => {
        const body = message.body.toString();
        const seen = [...(this.#attempts.get(body) ?? []), message.reconsumeTimes];
        this.#attempts.set(body, seen);
        return message.reconsumeTimes > 0;
      },
    });
    this.#hello = setInterval(() => void this.client.join().catch(() => undefined), 500);
  }

  /** Stores everything; the first of it is due two seconds later. */
  async send(): Promise<void> {
    await this.client.join();
    for (let i = 0; i < COUNTS.retries; i++) await this.#one('RETRIED', `retry-${i}`, {});
    this.#consumer.start();
    for (let i = 0; i < COUNTS.halves; i++) await this.client.half('SETTLED', `half-${i}`);
    for (let i = 0; i < COUNTS.delayed; i++) {
      await this.#one('DELAYED', `delayed-${i}`, { DELAY: String(1 + (i % 4)) });
    }
    const firstMs = Date.now() + FIRST_DUE_MS;
    for (let i = 0; i < COUNTS.timers; i++) {
      const dueMs = firstMs + Math.floor((i * SPREAD_MS) / COUNTS.timers);
      await this.#one('TIMED', `timer-${i}`, { TIMER_DELIVER_MS: String(dueMs) });
    }
  }

  /** From now on the producer says what became of its transactions. */
  settle(): void {
    this.client.answer = () => COMMIT;
  }

  /** Bodies a topic holds now, in order. */
  async bodies(topic: string): Promise<string[]> {
    return (await this.read(topic)).map(({ body }) => body.toString());
  }

  read(topic: string): Promise<DecodedRecord[]> {
    return this.client.read(topic);
  }

  /** Messages that were handed out again after their failure. */
  get retried(): number {
    return [...this.#attempts.values()].filter((times) => times.some((n) => n > 0)).length;
  }

  async stop(): Promise<void> {
    clearInterval(this.#hello);
    await this.#consumer.stop();
    this.client.close();
  }

  async #one(topic: string, body: string, properties: Record<string, string>): Promise<void> {
    const ext = sendFields(topic, { properties: { ...properties, UNIQ_KEY: `key-${body}` } });
    const answer = await this.client.call(RequestCode.SEND_MESSAGE_V2, ext, Buffer.from(body));
    if (answer.code !== 0) throw new Error(`${body}: ${answer.code} ${answer.remark}`);
  }
}

/** What a list of bodies lacks of `count`, and what it has twice. */
export function tally(bodies: string[], prefix: string, count: number) {
  const seen = new Set(bodies);
  const missing = Array.from({ length: count }, (_, i) => `${prefix}-${i}`).filter(
    (body) => !seen.has(body),
  );
  return { missing, twice: bodies.length - seen.size };
}
