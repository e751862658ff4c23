// Rows entered many at a time against the same digests entered one by one: queues, index, what listeners
// hear and the ends of the log must be equal. With records that are known already, offsets that are
// skipped, topics made again, transactions, and runs cut anywhere.
import * as fs from 'node:fs';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { LogState } from '../../core-broker/store/log/log-state.ts';
import { DelayLevels } from '../../core-broker/store/queue/digest/delay-levels.ts';
import { RecordDigest } from '../../core-broker/store/queue/digest/record-digest.ts';
import { rowLength, writeRow } from '../../core-broker/store/queue/digest/record-row.ts';
import { Dispatcher, type RowRun } from '../../core-broker/store/queue/dispatcher.ts';
import { IndexService } from '../../core-broker/store/queue/index-service.ts';
import { type Topic, TopicTable } from '../../core-broker/store/queue/topic-table.ts';
import { tempFolder } from '../support/store-options.ts';

const NAMES = ['a', 'b', 'c'];
const SIZE = 100;

/** A dispatcher with all it works on, in a folder of its own. */
class Side {
  readonly folder = tempFolder();
  readonly state = new LogState();
  readonly table = new TopicTable(`${this.folder}/queues`, 20 * 300);
  readonly topics: Topic[] = NAMES.map((name) => this.table.intern(name));
  readonly index = new IndexService(`${this.folder}/index`, { slots: 50, entries: 400 });
  readonly heard: unknown[] = [];
  readonly dispatcher: Dispatcher;

  constructor() {
    const delays = new DelayLevels('1s');
    this.dispatcher = new Dispatcher(this.table, this.state, { delays, index: this.index });
    this.dispatcher.listen({
      onArrival: ({ topic, queueId }, next, tag) => this.heard.push([topic, queueId, next, tag]),
    });
  }

  content() {
    const queues = [...this.table.all()].map((queue) => {
      const entries: string[] = [];
      for (let n = queue.min; n < queue.max; n++) {
        const { bytes, at } = queue.read(n, 1);
        entries.push(bytes.toString('hex', at, at + 20));
      }
      return [queue.topic, queue.queueId, queue.min, queue.max, queue.next, entries];
    });
    const { dispatched, lastRecord, lastStoreTimestampMs } = this.state;
    const ends = [dispatched, lastRecord, lastStoreTimestampMs];
    const index = [...this.index.entries()];
    return { queues, ends, heard: this.heard, index, files: this.#fullIndexFiles() };
  }

  /** Header, slots and entries of all index files but the one that is being written. */
  #fullIndexFiles(): string[] {
    const folder = `${this.folder}/index`;
    const names = fs.existsSync(folder) ? fs.readdirSync(folder).sort().slice(0, -1) : [];
    return names.map((name) => fs.readFileSync(`${folder}/${name}`, 'latin1'));
  }

  close(): void {
    this.index.close();
    this.table.files.close();
    fs.rmSync(this.folder, { recursive: true });
  }
}

const step = fc.record({
  topic: fc.nat(2),
  queueId: fc.nat(1),
  kind: fc.constantFrom('next', 'next', 'next', 'next', 'next', 'known', 'gap', 'anew', 'half'),
  tag: fc.constantFrom(0, 5, -7, 2 ** 40 + 3, -(2 ** 31)),
  keys: fc.array(fc.nat(0x7fffffff), { maxLength: 10 }),
  ms: fc.nat(5_000),
});

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Both ways over the same steps. */
const bothWays = (steps: Step[], cuts: number[]) => {
  const one = new Side();
  const many = new Side();
  const ends = new Map<string, number>();
  const words = new Int32Array(steps.length * 21);
  let end = 0;
  for (const { topic, queueId, kind, tag, keys, ms } of steps) {
    const queue = `${topic}-${queueId}`;
    const next = ends.get(queue) ?? 0;
    const digest = new RecordDigest();
    digest.physicalOffset = one.state.dispatched;
    digest.size = SIZE + ms;
    digest.queueId = queueId;
    digest.isQueued = kind !== 'half';
    if (kind === 'gap') digest.queueOffset = next + 3;
    else if (kind === 'known') digest.queueOffset = Math.max(1, next - 1);
    else digest.queueOffset = kind === 'anew' ? 0 : next;
    digest.tagsCode = tag;
    digest.storeTimestampMs = 1_700_000_000_000 + ms;
    for (const key of keys) digest.addKey(key);
    if (digest.isQueued && kind !== 'known') ends.set(queue, digest.queueOffset + 1);
    if (kind === 'known') ends.set(queue, Math.max(next, digest.queueOffset + 1));
    one.dispatcher.enter(one.topics[topic]!, digest);
    writeRow(words, end, digest, topic);
    end += rowLength(words, end);
  }
  const run: RowRun = {
    words,
    at: 0,
    end,
    left: 0,
    until: Number.POSITIVE_INFINITY,
    topics: many.topics,
  };
  for (let i = 0; run.at < end; i++) {
    const cut = cuts[i % cuts.length]!;
    const isBytes = i % 2 === 1;
    run.left = isBytes ? end : cut;
    run.until = isBytes ? many.state.dispatched + cut * words[run.at]! : Number.POSITIVE_INFINITY;
    many.dispatcher.enterRun(run);
    expect(many.state.dispatched).toBeLessThanOrEqual(run.until);
    if (i % 3 === 1) many.table.writeOutNow();
  }
  const result = [many.content(), one.content()];
  one.close();
  many.close();
  return result;
};

test('rows entered together do what they do one by one', () => {
  void fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 400 }),
      fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 }),
      (steps, cuts) => {
        const [many, one] = bothWays(steps, cuts);
        expect(many).toEqual(one);
      },
    ),
    { numRuns: 150 },
  );
});

test('also in a queue of many times what it holds in memory', () => {
  const steps = Array.from({ length: 20_000 }, (_, i): Step => {
    return { topic: 0, queueId: i & 1, kind: 'next', tag: i, keys: [i], ms: i % 1000 };
  });
  const [many, one] = bothWays(steps, [1024, 37]).map((content) => JSON.stringify(content));
  expect(many === one).toBe(true);
});

test('a run asks once who listens; who does not is not told', () => {
  const side = new Side();
  const heard: number[] = [];
  let asked = 0;
  let listens = false;
  side.dispatcher.listen({
    get isListening() {
      asked++;
      return listens;
    },
    onArrival: (_queue, next) => heard.push(next),
  });
  const words = new Int32Array(100);
  const enterThree = (first: number) => {
    let end = 0;
    for (let n = first; n < first + 3; n++) {
      const digest = Object.assign(new RecordDigest(), { size: SIZE, queueOffset: n });
      writeRow(words, end, digest, 0);
      end += rowLength(words, end);
    }
    const run = { words, at: 0, end, left: 3, until: Number.POSITIVE_INFINITY };
    side.dispatcher.enterRun({ ...run, topics: side.topics });
  };
  enterThree(0);
  listens = true;
  enterThree(3);
  listens = false;
  enterThree(6);
  // The first record of a queue takes the long way, which tells everybody.
  expect(heard).toEqual([1, 4, 5, 6]);
  expect(asked).toBe(3);
  side.close();
});
