// A load of every other kind of message beside the plain orders: batches, delayed ones, timers and
// transactions that are committed, rolled back or left to the check. It writes down what was tried and
// what was acknowledged, reads all of it again, and says what a broker owes: see MixedVerdict.
// Each send is tried once, so whatever stands in a log twice was doubled by the broker.
import { sleep } from '../../../core-broker/base/index.ts';
import {
  encodeBatch,
  formatMessageProperties,
  type RemotingCommand,
  RequestCode,
} from '../../../core-broker/protocol/index.ts';
import { RemotingClient } from '../../../core-broker/remoting/index.ts';
import { sendFields } from '../broker-fixture.ts';
import { COMMIT, ROLLBACK, TransactionClient } from '../transactions.ts';

const TOPICS = { batch: 'BATCHES', delayed: 'DELAYED', timer: 'TIMERS', tx: 'TX' } as const;
type Kind = keyof typeof TOPICS;
const PER_BATCH = 5;
const SEND_TIMEOUT_MS = 3_000;

/** Keys of one kind. */
interface Book {
  tried: Set<string>;
  /** Acknowledged, and to be in its topic once it is due. */
  owed: Set<string>;
  /** Must never be seen: rolled back, and that was acknowledged. */
  forbidden: Set<string>;
}

export interface MixedVerdict {
  acknowledged: Record<Kind, number>;
  /** Owed and not there. */
  missing: string[];
  /** There, and nobody sent it or it was rolled back. */
  phantoms: string[];
  /** Queue offsets that are not the next number. */
  notDense: string[];
  /** More than one copy of one send. */
  duplicates: Record<Kind, number>;
}

export class MixedFlow {
  readonly #address: string;
  readonly #client = new RemotingClient();
  readonly #transactions: TransactionClient;
  readonly #books: Record<Kind, Book>;
  #counter = 0;
  #isRunning = false;
  #lanes: Promise<unknown> = Promise.resolve();

  constructor(address: string) {
    this.#address = address;
    this.#transactions = new TransactionClient(() => address, 'mixed');
    // What nobody ended is asked for: it was acknowledged, so it becomes a message.
    this.#transactions.answer = (key) => (this.#books.tx.forbidden.has(key) ? ROLLBACK : COMMIT);
    const book = () => ({
      tried: new Set<string>(),
      owed: new Set<string>(),
      forbidden: new Set<string>(),
    });
    this.#books = { batch: book(), delayed: book(), timer: book(), tx: book() };
  }

  start(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#lanes = Promise.all([
      this.#lane(() => this.#sendBatch()),
      this.#lane(() => this.#sendBatch()),
      this.#lane(() => this.#sendLater('delayed', { DELAY: '1' })),
      this.#lane(() => this.#sendLater('timer', { TIMER_DELAY_MS: '1500' })),
      this.#lane(() => this.#transact()),
    ]);
  }

  /** Waits for the open sends. */
  async pause(): Promise<void> {
    this.#isRunning = false;
    await this.#lanes;
  }

  async stop(): Promise<void> {
    await this.pause();
    this.#client.close();
    this.#transactions.close();
  }

  /** What stands in the topics now; what is not due yet is missing. Nobody may be sending. */
  async verdict(): Promise<MixedVerdict> {
    const verdict: MixedVerdict = {
      acknowledged: this.#count((book) => book.owed.size),
      missing: [],
      phantoms: [],
      notDense: [],
      duplicates: this.#count(() => 0),
    };
    for (const kind of Object.keys(TOPICS) as Kind[]) await this.#judge(kind, verdict);
    return verdict;
  }

  /** Halves that no check has passed yet; asks to be asked. */
  async unsettled(): Promise<number> {
    await this.#transactions.join();
    return this.#transactions.unsettled();
  }

  async #judge(kind: Kind, verdict: MixedVerdict): Promise<void> {
    const { tried, owed, forbidden } = this.#books[kind];
    const records = await this.#transactions.read(TOPICS[kind]);
    const seen = new Set<string>();
    records.forEach((record, n) => {
      const key = record.body.toString();
      if (record.queueOffset !== n) verdict.notDense.push(`${kind}@${n}=${record.queueOffset}`);
      if (!tried.has(key) || forbidden.has(key)) verdict.phantoms.push(key);
      if (seen.has(key)) verdict.duplicates[kind]++;
      seen.add(key);
    });
    for (const key of owed) if (!seen.has(key)) verdict.missing.push(key);
  }

  #count(of: (book: Book) => number): Record<Kind, number> {
    const { batch, delayed, timer, tx } = this.#books;
    return { batch: of(batch), delayed: of(delayed), timer: of(timer), tx: of(tx) };
  }

  async #lane(step: () => Promise<void>): Promise<void> {
    while (this.#isRunning) {
      // A killed broker: the outcome of this one is unknown, and the next tries again.
      await step().catch(() => sleep(50));
      await sleep(5);
    }
  }

  async #sendBatch(): Promise<void> {
    const keys = Array.from({ length: PER_BATCH }, () => this.#newKey('batch'));
    const body = encodeBatch(
      keys.map((key) => ({ flag: 0, body: Buffer.from(key), properties: uniqueOf(key) })),
    );
    const code = RequestCode.SEND_BATCH_MESSAGE;
    const ext = sendFields(TOPICS.batch, { code }) as Record<string, string>;
    this.#note('batch', keys, await this.#invoke({ code, ext, body }));
  }

  async #sendLater(kind: Kind, properties: Record<string, string>): Promise<void> {
    const key = this.#newKey(kind);
    const all = { ...properties, UNIQ_KEY: key };
    const ext = sendFields(TOPICS[kind], { properties: all }) as Record<string, string>;
    const request = { code: RequestCode.SEND_MESSAGE_V2, ext, body: Buffer.from(key) };
    this.#note(kind, [key], await this.#invoke(request));
  }

  /** One in three is committed, one is rolled back, one is left to the check. */
  async #transact(): Promise<void> {
    await this.#transactions.join();
    const key = this.#newKey('tx');
    const book = this.#books.tx;
    const turn = this.#counter % 3;
    // Order: noted before the end is sent; a check may come first.
    if (turn === 1) book.forbidden.add(key);
    const half = await this.#transactions.half(TOPICS.tx, key, { UNIQ_KEY: key });
    if (turn !== 1) book.owed.add(key);
    if (turn !== 2) await this.#transactions.end(half, turn === 0 ? COMMIT : ROLLBACK);
  }

  #newKey(kind: Kind): string {
    const key = `${kind}-${this.#counter++}`;
    this.#books[kind].tried.add(key);
    return key;
  }

  #note(kind: Kind, keys: string[], answer: RemotingCommand): void {
    if (answer.code !== 0) return;
    for (const key of keys) this.#books[kind].owed.add(key);
  }

  #invoke(request: { code: number; ext: Record<string, string>; body: Buffer }) {
    return this.#client.invoke(this.#address, request, SEND_TIMEOUT_MS);
  }
}

const uniqueOf = (key: string): string =>
  formatMessageProperties(Object.entries({ UNIQ_KEY: key }));
