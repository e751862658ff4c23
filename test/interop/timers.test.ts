// Timer messages and delay levels against a stock 5.5.0 broker: one store handed to and fro, the same
// requests with the same answers, the same Java programs at both. 4.9.7 keeps a store's timers untouched.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../cli/demo/process.ts';
import {
  decodeRecords,
  parseMessageProperties,
  RequestCode,
  TIMER_TOPIC,
} from '../../core-broker/protocol/index.ts';
import { pullFields, sendFields } from '../support/broker-fixture.ts';
import { spawnBroker } from '../support/broker-process.ts';
import { TapWire } from '../support/stock/tap-wire.ts';
import { until } from '../support/until.ts';
import { type ClientKind, startClient } from './peers/clients.ts';
import {
  type RunningServer,
  type ServerVersion,
  startBroker,
  startNameserver,
} from './peers/rocketmq.ts';

const SHAPE = {
  mappedFileSizeCommitLog: 1_048_576,
  mappedFileSizeConsumeQueue: 6_000,
  maxHashSlotNum: 1_000,
  maxIndexNum: 4_000,
  brokerClusterName: 'DefaultCluster',
  brokerName: 'broker-a',
};
const PATIENT_MS = 90_000;

let folder: string;
let nameserver: RunningServer;
const wire = new TapWire();
const cleanUp: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-timers-'));
  const at = { folder: path.join(folder, 'ns'), port: await freePort() };
  nameserver = await startNameserver({ version: '5.5.0', ...at });
});
afterEach(async () => {
  for (const step of cleanUp.splice(0).reverse()) await step();
});
afterAll(async () => {
  wire.close();
  await nameserver?.kill();
  fs.rmSync(folder, { recursive: true, force: true });
});

interface Holder {
  address: string;
  stop(): Promise<void>;
  kill(): Promise<void>;
}

async function ours(root: string): Promise<Holder> {
  const more = { namesrvAddr: nameserver.address, recallMessageEnable: true };
  const broker = await spawnBroker(root, { ...SHAPE, ...more });
  cleanUp.push(() => broker.kill());
  return { address: broker.address, stop: () => broker.stop(), kill: () => broker.kill() };
}

async function stock(root: string, version: ServerVersion = '5.5.0'): Promise<Holder> {
  const broker = await startBroker({
    version,
    folder: path.join(folder, `stock-${path.basename(root)}`),
    port: await freePort(true),
    namesrv: nameserver.address,
    properties: {
      ...SHAPE,
      storePathRootDir: root,
      storePathCommitLog: path.join(root, 'commitlog'),
      ...(version === '5.5.0' ? { recallMessageEnable: true } : {}),
    },
  });
  const kill = async () => {
    broker.child.kill();
    await broker.child.exited;
  };
  cleanUp.push(kill);
  return { address: broker.address, stop: () => broker.stop(), kill };
}

const send = (at: Holder, key: string, properties: Record<string, string>) =>
  wire.invoke(at.address, {
    code: RequestCode.SEND_MESSAGE_V2,
    ext: sendFields('T', { properties: { ...properties, UNIQ_KEY: key } }) as Record<
      string,
      string
    >,
    body: Buffer.from(key),
  });

async function recordsAt(at: Holder, topic: string) {
  const records = [];
  for (let offset = 0; ; ) {
    const ext = pullFields(topic, offset) as unknown as Record<string, string>;
    const answer = await wire.invoke(at.address, { code: RequestCode.PULL_MESSAGE, ext });
    const some = answer.body ? decodeRecords(answer.body) : [];
    if (some.length === 0) return records;
    records.push(...some);
    offset = Number(answer.ext['nextBeginOffset']);
  }
}
const bodiesAt = async (at: Holder, topic = 'T') =>
  (await recordsAt(at, topic)).map((record) => record.body.toString());

const delivered = (at: Holder, keys: string[]) =>
  until(
    async () => {
      const found = new Set(await bodiesAt(at));
      return keys.every((key) => found.has(key));
    },
    `${keys} delivered`,
    PATIENT_MS,
  );

describe('one store', () => {
  test('goes from ours to stock 5.5.0 and back, and each timer is delivered by the next', async () => {
    const root = path.join(folder, 'shared');
    /** Parks a message that is due here and two that are due at the next holder, `restMs` later. */
    const visit = async (at: Holder, n: number, restMs: number) => {
      if (n > 0) await delivered(at, [`next-${n - 1}`, `same-${n - 1}`]);
      expect((await send(at, `soon-${n}`, { TIMER_DELAY_MS: '1500' })).code).toBe(0);
      await delivered(at, [`soon-${n}`]);
      const deliverMs = String(Date.now() + restMs);
      expect((await send(at, `next-${n}`, { TIMER_DELIVER_MS: deliverMs })).code).toBe(0);
      expect((await send(at, `same-${n}`, { TIMER_DELIVER_MS: deliverMs })).code).toBe(0);
      return Number(deliverMs);
    };
    const first = await ours(root);
    await visit(first, 0, 4_000);
    await first.stop();
    const second = await stock(root);
    // A clean stop of Apache's takes up to 16 s.
    const dueMs = await visit(second, 1, 12_000);
    await second.stop();
    const wasStoppedBefore = Date.now() < dueMs;
    const third = await ours(root);
    await visit(third, 2, 4_000);
    const clean = await bodiesAt(third);
    expect(clean.filter((key) => key.endsWith('-0'))).toHaveLength(3);
    const fromStock = clean.filter((key) => key.endsWith('-1')).sort();
    expect([...new Set(fromStock)]).toEqual(['next-1', 'same-1', 'soon-1']);
    // One that was due while it stopped, Apache's broker may have delivered without writing it down.
    if (wasStoppedBefore) expect(fromStock).toHaveLength(3);
    await third.kill();
    const fourth = await stock(root);
    await visit(fourth, 3, 4_000);
    await fourth.kill();
    const fifth = await ours(root);
    await delivered(fifth, ['next-3', 'same-3']);
    const all = await bodiesAt(fifth);
    for (let n = 0; n < 4; n++)
      for (const kind of ['soon', 'next', 'same']) expect(all).toContain(`${kind}-${n}`);
    await fifth.stop();
  });

  test('that 4.9.7 had in between keeps its timers', async () => {
    const root = path.join(folder, 'old');
    const first = await ours(root);
    await send(first, 'kept', { TIMER_DELAY_MS: '6000' });
    await first.stop();
    const second = await stock(root, '4.9.7');
    await send(second, 'plain', {});
    await until(async () => (await bodiesAt(second)).includes('plain'), 'plain', PATIENT_MS);
    await second.stop();
    const third = await ours(root);
    await delivered(third, ['kept']);
    expect((await bodiesAt(third)).sort()).toEqual(['kept', 'plain']);
    await third.stop();
  });
});

describe('side by side', () => {
  test('requests are answered alike, and both records are alike', async () => {
    const both = [await ours(path.join(folder, 'a')), await stock(path.join(folder, 'b'))] as const;
    const answers = await Promise.all(both.map(requestsAt));
    expect(answers[0]).toEqual(answers[1]);
  });

  test.each<ClientKind>(['java-5.5.0', 'java-4.9.8'])(
    '%s: timers and delay levels arrive at ours as at stock, none early',
    async (kind) => {
      // One name server for both: what was stopped must not be in a route any more.
      for (const [name, open] of Object.entries({ ours, stock })) {
        const at = await open(path.join(folder, `${name}-${kind}`));
        await clientsAt(kind, at, name);
        await at.kill();
      }
    },
  );
});

/** What a broker says to timer requests, and what it stores, without what differs by time. */
async function requestsAt(at: Holder): Promise<unknown> {
  const said: unknown[] = [];
  const note = (answer: { code: number; remark?: string | undefined }) =>
    said.push([answer.code, answer.remark?.replace(/,? ?<?https?:\S*/g, '')]);
  await until(async () => (await send(at, 'warm', {})).code === 0, 'broker serves', PATIENT_MS);
  note(await send(at, 'far', { TIMER_DELAY_SEC: '259201' }));
  note(await send(at, 'text', { TIMER_DELAY_MS: 'soon' }));
  note(await send(at, 'past', { TIMER_DELIVER_MS: '1000' }));
  note(await send(at, 'delete', { TIMER_DELIVER_MS: '1000', TIMER_DEL_UNIQKEY: 'x' }));
  note(await send(at, 'both', { TIMER_DELAY_SEC: '60', DELAY: '1' }));
  const parked = await send(at, 'gone', { TIMER_DELAY_MS: '9000', TAGS: 'a' });
  note(parked);
  said.push(Object.keys(parked.ext).sort());
  const recallHandle = parked.ext['recallHandle'] ?? '';
  const [, ...handle] = Buffer.from(recallHandle, 'base64url').toString().split(' ');
  said.push([
    handle[0],
    handle[1],
    Number(handle[2]) % 1_000,
    handle[3],
    recallHandle.endsWith('='),
  ]);
  const recall = (topic: string, text: string) =>
    wire.invoke(at.address, {
      code: RequestCode.RECALL_MESSAGE,
      ext: { producerGroup: 'p', topic, recallHandle: text },
    });
  note(await recall('T', 'x'));
  note(await recall('none', recallHandle));
  const recalled = await recall('T', recallHandle);
  note(recalled);
  said.push(recalled.ext);
  note(await send(at, 'stays', { TIMER_DELAY_MS: '9000' }));
  await delivered(at, ['stays', 'both']);
  said.push([...(await bodiesAt(at))].sort());
  for (const topic of [TIMER_TOPIC, 'T']) {
    for (const record of await recordsAt(at, topic)) {
      const properties = parseMessageProperties(record.properties);
      said.push([record.body.toString(), record.queueId, [...properties.keys()].sort()]);
    }
  }
  const checkpoint = await wire.invoke(at.address, { code: RequestCode.GET_TIMER_CHECK_POINT });
  said.push([checkpoint.code, checkpoint.body?.length]);
  return said;
}

async function clientsAt(kind: ClientKind, at: Holder, name: string): Promise<void> {
  const base = { kind, namesrv: nameserver.address, folder };
  const topic = `delayed-${name}-${kind.replaceAll('.', '_')}`;
  await until(async () => (await createTopic(at, topic)) === 0, `${topic} made`, PATIENT_MS);
  const reader = await startClient({
    ...base,
    mode: 'consume',
    topic,
    group: `g-${topic}`,
    name: `${topic}-reader`,
  });
  cleanUp.push(async () => reader.child.kill());
  const ways = [
    { prefix: 'ms', delayMs: 3_000, more: { timer: 'TIMER_DELAY_MS', delay: 3_000 } },
    { prefix: 'sec', delayMs: 4_000, more: { timer: 'TIMER_DELAY_SEC', delay: 4 } },
    { prefix: 'level', delayMs: 1_000, more: { level: 1 } },
  ];
  const sendIn = async ({ prefix, delayMs, more }: (typeof ways)[number]) => {
    const settings = { count: 5, prefix, timeout: 20_000, ...more };
    const options = { ...base, mode: 'produce' as const, topic, group: `p-${topic}-${prefix}` };
    const writer = await startClient({
      ...options,
      name: `${topic}-${prefix}`,
      more: settings,
    });
    const events = await writer.finished();
    const ok = events.filter(({ phase }) => phase === 'ok');
    expect(ok, JSON.stringify(events)).toHaveLength(5);
    return ok.map(({ key }) => {
      const invoked = events.find((event) => event.phase === 'invoke' && event.key === key);
      return { key, dueMs: (invoked?.t ?? 0) + delayMs };
    });
  };
  const sent = (await Promise.all(ways.map(sendIn))).flat();
  const times = () => new Map(reader.events().map((event) => [event.key, event.t]));
  await until(async () => sent.every(({ key }) => times().has(key)), 'all consumed', PATIENT_MS);
  for (const { key, dueMs } of sent) expect(times().get(key)).toBeGreaterThanOrEqual(dueMs);
  await reader.stop();
}

async function createTopic(at: Holder, topic: string): Promise<number> {
  const ext = { topic, defaultTopic: 'TBW102', readQueueNums: 2, writeQueueNums: 2, perm: 6 };
  const more = { topicFilterType: 'SINGLE_TAG', topicSysFlag: 0, order: false };
  const answer = await wire.invoke(at.address, { code: 17, ext: { ...ext, ...more } });
  return answer.code;
}
