// Sends and pulls over real sockets while the log or a file beside it fails: queues, index, checkpoint,
// offsets, topics, timer log, with EIO, a full disk or a slow one. Health names what is wrong, every
// send gets an answer, and what was acknowledged is there: at once, or after a restart on a sound disk.
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type BrokerFixture,
  bodiesOf,
  eventually,
  startBroker,
} from '../support/broker-fixture.ts';
import { FaultyFiles, type FileRule } from '../support/faulty-files.ts';

const LANES = 4;
const VALUES = {
  flushConsumerOffsetInterval: 100,
  flushDelayOffsetInterval: 100,
  timerFlushIntervalMs: 100,
  messageDelayLevel: '1s 2s',
};
let disk: FaultyFiles;
let region: BrokerFixture;

beforeEach(() => {
  disk = new FaultyFiles();
});
afterEach(async () => {
  disk.restore();
  await region?.stop();
});

class Load {
  readonly acknowledged: string[][] = Array.from({ length: LANES }, () => []);
  answered = 0;
  #isRunning = true;
  readonly #lanes: Promise<void>[];

  constructor() {
    this.#lanes = this.acknowledged.map((keys, queueId) => this.#run(keys, queueId));
  }

  /** Rejects when a send got no answer. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    await Promise.all(this.#lanes);
  }

  async #run(keys: string[], queueId: number): Promise<void> {
    for (let n = 0; this.#isRunning; n++) {
      const key = `${queueId}-${n}`;
      const properties: Record<string, string> = { UNIQ_KEY: key, KEYS: key };
      const { code } = await region.send('load', key, { queueId, properties });
      if (code === 0) keys.push(key);
      this.answered++;
      if (code !== 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

/** All of one queue, in order. */
async function stored(queueId: number, topic = 'load'): Promise<string[]> {
  const found: string[] = [];
  for (;;) {
    const bodies = bodiesOf(await region.pull(topic, found.length, { queueId }));
    if (bodies.length === 0) return found;
    found.push(...bodies);
  }
}

async function expectAllThere(load: Load): Promise<void> {
  for (const [queueId, keys] of load.acknowledged.entries()) {
    const present = await eventually(async () => {
      const found = await stored(queueId);
      return found.length >= keys.length ? found : undefined;
    });
    expect(new Set(present).size).toBe(present.length);
    expect(keys.filter((key) => !present.includes(key))).toEqual([]);
  }
}

const reasons = () => region.broker.health().reasons.join('; ');

const FINAL: [string, FileRule, RegExp][] = [
  ['queues, EIO on write', { path: /consumequeue/, on: 'write', fails: 'EIO' }, /failed.*EIO/],
  ['queues, EIO on sync', { path: /consumequeue/, on: 'sync', fails: 'EIO' }, /failed.*EIO/],
  ['index, EIO on write', { path: /\/index\//, on: 'write', fails: 'EIO' }, /failed.*EIO/],
  ['checkpoint, EIO', { path: /\/checkpoint/, on: 'any', fails: 'EIO' }, /failed.*EIO/],
  ['log, EIO on write', { path: /commitlog/, on: 'write', fails: 'EIO' }, /failed.*EIO/],
  ['log, EIO on sync', { path: /commitlog/, on: 'sync', fails: 'EIO' }, /failed.*EIO/],
];

test.each(FINAL)(
  '%s: the store says so and stops; a restart has everything',
  async (_, rule, said) => {
    region = await startBroker(VALUES);
    const load = new Load();
    await eventually(() => (load.answered > 200 ? true : undefined));
    disk.rules = [rule];
    await eventually(() => (said.test(reasons()) ? true : undefined));
    const before = load.answered;
    await eventually(() => (load.answered > before + 20 ? true : undefined));
    await load.stop();
    expect((await region.send('load', 'late')).code).not.toBe(0);
    disk.rules = [];
    await region.restart();
    expect(region.broker.health().reasons).toEqual([]);
    await expectAllThere(load);
  },
);

const PASSING: [string, FileRule, RegExp][] = [
  [
    'queues, ENOSPC',
    { path: /consumequeue/, on: 'write', fails: 'ENOSPC' },
    /consumequeue is full|^$/,
  ],
  [
    'offsets, EIO',
    { path: /consumerOffset\.json/, on: 'any', fails: 'EIO' },
    /consumerOffset.*EIO/,
  ],
  [
    'offsets, ENOSPC',
    { path: /consumerOffset\.json/, on: 'any', fails: 'ENOSPC' },
    /consumerOffset/,
  ],
  ...['timerlog', 'timerwheel', 'timercheck'].map((name): [string, FileRule, RegExp] => [
    `${name}, EIO`,
    { path: new RegExp(name), on: 'any', fails: 'EIO' },
    /timer messages wait.*EIO/,
  ]),
];

test.each(PASSING)('%s: sends go on, health names it until it passes', async (_, rule, said) => {
  region = await startBroker(VALUES);
  await region.send('timed', 'timer', { properties: { TIMER_DELAY_MS: '1200', UNIQ_KEY: 'T' } });
  await region.send('timed', 'level', { properties: { DELAY: '1', UNIQ_KEY: 'D' } });
  disk.rules = [rule];
  const load = new Load();
  let committed = 0;
  await eventually(async () => {
    await region.pull('load', 0, { group: 'readers', commitOffset: committed++ });
    return said.test(reasons()) && load.answered > 500 ? true : undefined;
  });
  await load.stop();
  disk.rules = [];
  await eventually(() => (reasons() === '' ? true : undefined));
  await expectAllThere(load);
  await eventually(async () => ((await stored(0, 'timed')).length >= 2 ? true : undefined));
  expect((await stored(0, 'timed')).sort()).toEqual(['level', 'timer']);
});

test('a topic whose file cannot be written is refused each time, until it can', async () => {
  region = await startBroker(VALUES);
  disk.rules = [{ path: /topics\.json/, on: 'any', fails: 'EIO' }];
  for (let n = 0; n < 3; n++) expect((await region.send('new', 'x')).code).not.toBe(0);
  disk.rules = [];
  expect((await region.send('new', 'x')).code).toBe(0);
  await region.restart();
  expect(bodiesOf(await region.pull('new', 0))).toEqual(['x']);
});

test.each(['ASYNC_FLUSH', 'SYNC_FLUSH'] as const)(
  '%s: 200 ms for each write: slow answers, none missing',
  async (mode) => {
    region = await startBroker({ ...VALUES, flushDiskType: mode });
    await region.send('load', 'first', { queueId: LANES });
    disk.rules = [{ path: /commitlog|consumequeue|\.json/, on: 'write', slowMs: 200 }];
    const load = new Load();
    await eventually(() => (load.answered >= 4 * LANES ? true : undefined));
    await load.stop();
    disk.rules = [];
    expect(load.acknowledged.flat().length).toBe(load.answered);
    await expectAllThere(load);
  },
);
