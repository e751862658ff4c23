// When a run of sends may not be taken: nothing of it is in the log then, and each send hears why. And when
// it is: no reply before its record may be acknowledged.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import {
  decodeCommand,
  decodeRecords,
  encodeRequest,
  formatMessageProperties,
  type HeaderType,
  type RemotingCommand,
  ResponseCode,
} from '../../../core-broker/protocol/index.ts';
import type { ServerConnection } from '../../../core-broker/remoting/index.ts';
import type { AppendResult, StoreOptions } from '../../../core-broker/store/index.ts';
import type { Line } from '../../support/send-line.ts';
import { type SendWorld, sendWorld } from '../../support/send-world.ts';
import { tempFolder } from '../../support/store-options.ts';

const TAUGHT = 64;
const RUN = 40;
const HEADER: HeaderType = 'ROCKETMQ';
let folder: string;
let world: SendWorld;
let line: Line;

function frames(count: number, first: number, bodyBytes = 100, header = HEADER): Buffer {
  const made = Array.from({ length: count }, (_, i) => {
    const unique = String(first + i).padStart(32, '0');
    const ext = {
      ...{ a: 'producers', b: 'orders', c: 'TBW102', d: '4', e: String(i % 4), f: '0' },
      ...{ g: '1790000000000', h: '0', j: '0' },
      i: formatMessageProperties([['UNIQ_KEY', unique]]),
    };
    const body = Buffer.alloc(bodyBytes, 'b');
    return encodeRequest({ code: 310, ext, body }, first + i, { header });
  });
  return Buffer.concat(made);
}

function answersIn(bytes: Buffer): RemotingCommand[] {
  const answers: RemotingCommand[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 + bytes.readInt32BE(at);
    answers.push(decodeCommand(bytes, at, end));
    at = end;
  }
  return answers;
}

const codesOf = (bytes: Buffer): number[] => answersIn(bytes).map(({ code }) => code);

const all = (code: number): number[] => new Array(RUN).fill(code);

async function open(store: Partial<StoreOptions> = {}): Promise<void> {
  world = await sendWorld({ folder, takesRuns: true, store });
  const { guard } = world.store;
  if (store.region !== undefined) guard.open(guard.state.epoch);
  line = world.connect();
  line.send(frames(TAUGHT / 2, 1_000));
  line.send(frames(TAUGHT / 2, 2_000));
  await world.settle();
  line.takeAnswers();
  expect(world.inRuns.frames).toBeGreaterThan(0);
  world.inRuns.frames = 0;
}

/** Sends a run that must not be stored. @returns the codes of its answers */
async function refused(): Promise<number[]> {
  const { end } = world.parts.state;
  line.send(frames(RUN, 5_000));
  expect(world.parts.state.end).toBe(end);
  expect(world.inRuns.frames).toBe(0);
  await world.settle();
  expect(world.store.bounds({ topic: 'orders', queueId: 0 })?.max).toBe(TAUGHT / 4);
  return codesOf(line.takeAnswers());
}

beforeEach(() => {
  folder = tempFolder();
});
afterEach(async () => {
  await world.close();
  fs.rmSync(folder, { recursive: true });
});

test('a run is taken whole, and answered once for each of its sends', async () => {
  await open();
  line.send(frames(RUN, 5_000));
  expect(world.inRuns.frames).toBe(RUN);
  await world.settle();
  expect(codesOf(line.takeAnswers())).toEqual(all(ResponseCode.SUCCESS));
  expect(world.store.bounds({ topic: 'orders', queueId: 3 })?.max).toBe((TAUGHT + RUN) / 4);
});

test('a send that came in two reads is taken in a run too, wherever it was cut', async () => {
  // One file: a run ends with it.
  await open({ mappedFileSizeCommitLog: 16 * 1024 * 1024 });
  const bytes = frames(RUN, 5_000);
  const size = bytes.length / RUN;
  for (let cut = size + 1; cut < 2 * size; cut += 7) {
    world.inRuns.frames = 0;
    line.send(bytes.subarray(0, cut));
    // Alone in the first read, which is too short for a run.
    expect(world.inRuns.frames).toBe(0);
    line.send(bytes.subarray(cut));
    expect(world.inRuns.frames).toBe(RUN - 1);
    await world.settle();
    expect(codesOf(line.takeAnswers())).toEqual(all(ResponseCode.SUCCESS));
  }
});

test.each<HeaderType>(['ROCKETMQ', 'JSON'])(
  'a run of %s headers touches nothing behind its last record',
  async (header) => {
    await open();
    const { ring, state } = world.parts;
    line.send(frames(TAUGHT, 10_000, 100, header));
    line.send(frames(TAUGHT, 11_000, 100, header));
    expect(world.inRuns.frames).toBeGreaterThanOrEqual(TAUGHT);
    for (let bodyBytes = 0; bodyBytes < 20; bodyBytes++) {
      ring.bytes.fill(0xaa, state.end, state.end + 1024 * 1024);
      line.send(frames(RUN, 12_000, bodyBytes, header));
      expect(ring.bytes.subarray(state.end, state.end + 64)).toEqual(Buffer.alloc(64, 0xaa));
    }
    expect(world.inRuns.frames).toBeGreaterThanOrEqual(TAUGHT + 20 * RUN - 60);
    await world.settle();
  },
);

test('a run ends before the end of the ring, and the next one begins at its front', async () => {
  await open({ mappedFileSizeCommitLog: 200 * 1024 * 1024 });
  const { ring, state, layout } = world.parts;
  const large = frames(100, 20_000, 30_000);
  while (state.end < ring.capacity - 4_000_000) {
    line.send(large);
    await world.settle();
  }
  while (state.end < ring.capacity - 20_000) line.send(frames(1, 30_000, 10_000));
  await world.settle();
  world.inRuns.frames = 0;
  while (state.end < ring.capacity + 20_000) line.send(frames(RUN, 40_000));
  expect(world.inRuns.frames).toBeGreaterThan(2 * RUN);
  await world.settle();
  const file = path.join(layout.commitLog, '0'.repeat(20));
  const bytes = fs.readFileSync(file).subarray(ring.capacity - 12_000, state.end);
  const first = bytes.indexOf(Buffer.from('daa320a7', 'hex')) - 4;
  const records = decodeRecords(bytes.subarray(first));
  const sizes = records.reduce((sum, record) => sum + record.sizeBytes, 0);
  expect(first + sizes).toBe(bytes.length);
});

test('a run leaves room for the end marker of every log file', async () => {
  await open({ mappedFileSizeCommitLog: 64 * 1024 });
  for (let i = 0; i < 1_000; i++) {
    line.send(frames(RUN, 20_000, i % 23));
    if (i % 20 === 0) await world.settle();
  }
  await world.settle();
  expect(world.inRuns.frames).toBeGreaterThan(900 * RUN);
  let end = 0;
  for await (const record of world.store.scan(0, world.parts.state.end)) {
    // What lies between two records is an end marker: at least eight bytes.
    const gap = record.offset - end;
    expect(gap === 0 || gap >= 8).toBe(true);
    end = record.offset + record.sizeBytes;
  }
  expect(end).toBe(world.parts.state.end);
});

test('a read that broke off leaves nothing behind for the next one in the same memory', async () => {
  await open();
  const other = world.connect();
  other.send(frames(TAUGHT, 7_000));
  const chunk = Buffer.concat([frames(RUN, 5_000), Buffer.from([0x7f, 0xff, 0xff, 0xff])]);
  line.send(chunk);
  expect(line.connection.isOpen).toBe(false);
  const { end } = world.parts.state;
  frames(RUN, 8_000).copy(chunk);
  other.send(chunk);
  await world.settle();
  const bytes = world.store.recordOf({ physicalOffset: end, sizeBytes: 400 } as AppendResult);
  expect(bytes.includes(String(8_000).padStart(32, '0'))).toBe(true);
});

test('a fenced store takes nothing of a run', async () => {
  await open({ region: 'east' });
  world.store.guard.fence('op-1');
  expect(new Set(await refused()).has(ResponseCode.SUCCESS)).toBe(false);
  world.store.guard.unfence('op-1');
  line.send(frames(RUN, 6_000));
  expect(world.inRuns.frames).toBe(RUN);
});

test('a sealed store takes nothing of a run', async () => {
  await open({ region: 'east' });
  world.store.guard.seal('op-1');
  expect(new Set(await refused()).has(ResponseCode.SUCCESS)).toBe(false);
});

test('a store without room takes nothing of a run', async () => {
  await open();
  world.parts.state.isDiskFull = true;
  expect(new Set(await refused()).has(ResponseCode.SUCCESS)).toBe(false);
  world.parts.state.isDiskFull = false;
});

/** How often the kernel is asked when a run comes, whatever the broker thinks of it. */
function kernelCalls(): number {
  let calls = 0;
  world.parts.kernel.run = () => {
    calls++;
    return 0;
  };
  world.store.appendRun({ topics: [], queueCounts: [], bodyBytesMax: 100 });
  return calls;
}

test.each([
  ['is full', 'isDiskFull', true],
  ['is nearly full', 'isDiskLow', true],
  ['has failed', 'failure', new DrError('CORRUPT', 'EIO')],
] as const)('the kernel is not asked while the disk %s', async (_, name, value) => {
  await open();
  expect(kernelCalls()).toBe(1);
  const state = world.parts.state as unknown as Record<string, unknown>;
  const before = state[name];
  state[name] = value;
  expect(kernelCalls()).toBe(0);
  state[name] = before;
});

test.each([
  ['the broker may not be written to', { brokerPermission: 4 }],
  ['sends are not accepted yet', { startAcceptSendRequestTimeStamp: Date.now() + 1e9 }],
  ['the body is longer than allowed', { maxMessageSize: 99 }],
])('nothing of a run is taken while %s', async (_, values) => {
  await open();
  Object.assign(world.built.parts.config, values);
  line.send(frames(RUN, 5_000));
  expect(world.inRuns.frames).toBe(0);
});

test('a store that seals every record with a checksum takes no runs', async () => {
  world = await sendWorld({ folder, takesRuns: true, store: { appendsRecordCrc: true } });
  line = world.connect();
  for (let i = 0; i < 4; i++) line.send(frames(RUN, 5_000 + i * RUN));
  await world.settle();
  expect(codesOf(line.takeAnswers()).length).toBe(4 * RUN);
  expect(world.inRuns.frames).toBe(0);
  for await (const record of world.store.scan(0, world.parts.state.end)) {
    expect(record.bytes.includes('__CRC32#')).toBe(true);
  }
  // Nor would it if a shape came to it on another way.
  expect(kernelCalls()).toBe(0);
});

test('while sends are parked no run is taken', async () => {
  await open();
  const parked: Buffer[] = [];
  const park = (_: ServerConnection, frame: Buffer) => parked.push(frame) > 0;
  world.admission.current = { ...world.admission.current, state: 'parked', park };
  expect(await refused()).toEqual([]);
  expect(parked.length).toBe(RUN);
});

test('a gate or a relay sees every frame of what would be a run', async () => {
  await open();
  const seen: number[] = [];
  const intercept = () => seen.push(1) > 0;
  world.admission.current = { ...world.admission.current, intercept };
  expect(await refused()).toEqual([]);
  expect(seen.length).toBe(RUN);
  world.admission.current = { ...world.admission.current, intercept: undefined };
  world.dispatcher.addGate({ admits: () => seen.push(2) < 0 });
  expect(await refused()).toEqual([]);
  expect(seen.length).toBe(2 * RUN);
});

test('a run ends where too much waits for the disk', async () => {
  await open();
  const { state } = world.parts;
  const before = world.parts.state.end;
  const bytes = frames(RUN, 5_000, 30_000);
  while (world.built.context.stats.putFailedTotal === 0) line.send(bytes);
  expect(state.end - state.dispatched).toBeLessThanOrEqual(32 * 1024 * 1024);
  expect(state.end - before).toBeGreaterThan(31 * 1024 * 1024);
  await world.settle();
});

test('a topic that was changed or deleted since is looked up again', async () => {
  await open();
  const { topics } = world.built.parts.tables;
  const config = topics.find('orders')?.config;
  if (config === undefined) throw new Error('no topic');
  topics.put({ ...config, writeQueueNums: 1, readQueueNums: 1 });
  line.send(frames(RUN, 5_000));
  expect(world.inRuns.frames).toBe(0);
  await world.settle();
  expect(codesOf(line.takeAnswers()).filter((code) => code === 0).length).toBe(RUN / 4);
});

test('no reply of a run leaves before its records are durable', async () => {
  await open({ flushDiskType: 'SYNC_FLUSH' });
  line.send(frames(RUN, 5_000));
  expect(world.inRuns.frames).toBe(RUN);
  const { state } = world.parts;
  while (state.durable < state.end) {
    expect(line.takeAnswers().length).toBe(0);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await world.settle();
  expect(codesOf(line.takeAnswers())).toEqual(all(ResponseCode.SUCCESS));
});

test('replies of a run that a failed disk will never keep are errors', async () => {
  await open();
  line.send(frames(RUN, 5_000));
  expect(world.inRuns.frames).toBe(RUN);
  const failure = Object.assign(new Error('i/o error'), { code: 'EIO' });
  const { layer } = world.parts;
  layer.writeSync = () => {
    throw failure;
  };
  // A busy machine may have made the write before a slow one; then the pool writes.
  layer.write = (_fd, _bytes, _span, done) => setImmediate(() => done(failure, 0));
  await world.store.durable(world.parts.state.end).catch(() => undefined);
  await new Promise((resolve) => setImmediate(resolve));
  const answers = answersIn(line.takeAnswers());
  expect(answers.map(({ opaque }) => opaque)).toEqual(all(0).map((_, i) => 5_000 + i));
  expect(answers.map(({ code }) => code)).not.toContain(ResponseCode.SUCCESS);
});
