// The road of runs against the roads that take one frame at a time: two brokers get the same reads of the
// same clients, one may take runs. Everything they leave must be the same, byte for byte: log, consume
// queues, index, answers; and what they count. Rolls of files, the end of the ring, split and damaged
// frames, refused sends and a store that takes nothing for a while are all in the stream.
import * as fs from 'node:fs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { encodeRequest, formatMessageProperties } from '../../core-broker/protocol/index.ts';
import type { Line } from '../support/send-line.ts';
import { filesOf, type SendWorld, sendWorld } from '../support/send-world.ts';
import { tempFolder } from '../support/store-options.ts';

const FRAMES = 130_000;
const LINES = 3;
const SETTLE_EVERY = 8;
const START_MS = 1_790_000_000_000;
const folder = tempFolder();
let runs: SendWorld;
let single: SendWorld;
let seed = 20_261_121;

/** Deterministic: a failure comes again. */
function below(bound: number): number {
  seed = (seed + 0x6d2b79f5) | 0;
  let mixed = Math.imul(seed ^ (seed >>> 15), seed | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * bound);
}
const oneOf = <T>(values: readonly T[]): T => values[below(values.length)] as T;
const text = (length: number): string =>
  Array.from({ length }, () => String.fromCharCode(0x20 + below(0x5f))).join('');
const word = (length: number): string => text(length).replaceAll(/["\\]/g, 'x');

interface Kind {
  isBinary: boolean;
  topic: string;
  bodyBytes: number;
  keys: string | undefined;
  tagBytes: number;
  born: number;
  queues: number;
  extra: Record<string, string>;
}

function newKind(): Kind {
  return {
    isBinary: below(2) === 0,
    topic: oneOf(['orders', 'orders', 'payments', 'a-topic-with-a-longer-name']),
    bodyBytes: oneOf([0, 1, 15, 128, 129, 700, 1_024, 3_000]),
    keys: oneOf([undefined, '', 'k', 'two words', 'a b  c', 'a b c d e f', ' blanks  here ']),
    tagBytes: oneOf([-1, 0, 4, 21]),
    born: oneOf([START_MS, 7, 0]),
    queues: oneOf([1, 4, 4, 5, 20]),
    extra: oneOf<Record<string, string>>([
      {},
      {},
      { WAIT: 'true' },
      { TRACE: '' },
      { TRACE: '' },
      { 日本: '語' },
    ]),
  };
}

function frameOf(kind: Kind, opaque: number): Buffer {
  const same = kind.keys === undefined ? undefined : word(kind.keys.length);
  // Blanks stay where they are, so that the number of keys does.
  const keys = same && [...same].map((c, i) => (kind.keys?.[i] === ' ' ? ' ' : c)).join('');
  const properties = formatMessageProperties([
    ...(keys === undefined ? [] : [['KEYS', keys] as const]),
    ['UNIQ_KEY', word(32)],
    ...(kind.tagBytes < 0 ? [] : [['TAGS', word(kind.tagBytes)] as const]),
    ...Object.entries(kind.extra),
  ]);
  const ext = {
    a: 'producers',
    b: kind.topic,
    c: 'TBW102',
    d: '4',
    e: String(below(kind.queues)),
    f: '0',
    g: String(kind.born + (kind.born < 10 ? below(3) : below(1_000))),
    h: '0',
    i: properties,
    j: '0',
    k: 'false',
    m: 'false',
  };
  const bodyBytes = below(12) === 0 ? below(16_000) : kind.bodyBytes;
  const body = Buffer.alloc(bodyBytes, word(7));
  const header = kind.isBinary ? 'ROCKETMQ' : 'JSON';
  const isOneway = below(200) === 0;
  return encodeRequest({ code: 310, ext, body }, opaque, { header, oneway: isOneway });
}

/** Another byte or two anywhere behind the length of the frame. */
function damaged(frame: Buffer): Buffer {
  for (let i = 0; i <= below(2); i++) {
    const byte = oneOf([0, 1, 2, 0x1f, 0x20, 0x22, 0x30, 0x39, 0x5c, 0x7f, 0x80, 0xff, below(256)]);
    frame[4 + below(frame.length - 4)] = byte;
  }
  return frame;
}

function stretch(kind: Kind, opaque: number): { bytes: Buffer; count: number } {
  const count = 1 + below(90);
  const frames: Buffer[] = [];
  for (let i = 0; i < count; i++) {
    const frame = frameOf(kind, kind.isBinary && below(9) === 0 ? -5 - i : opaque + i);
    frames.push(below(250) === 0 ? damaged(frame) : frame);
  }
  return { bytes: Buffer.concat(frames), count };
}

function countsOf({ built, store }: SendWorld) {
  const { stats, parts } = built.context;
  const { putTotal, putBytesTotal, putFailedTotal } = stats;
  const topics = [...parts.tables.topics.all()].map(({ topicName }) => {
    const { putCount = -1, putBytes = -1 } = parts.tables.topics.find(topicName) ?? {};
    return { topicName, putCount, putBytes };
  });
  return { putTotal, putBytesTotal, putFailedTotal, topics, queues: [...store.queues()] };
}

class Pair {
  #lines: [Line, Line];
  #kinds = [newKind(), newKind()];
  #rest = Buffer.alloc(0);

  constructor() {
    this.#lines = [runs.connect(), single.connect()];
  }

  /** One read of some stretches; the last frame may come in two reads. @returns its frames */
  send(opaque: number): number {
    if (below(60) === 0) {
      this.#kinds[below(2)] = newKind();
      if (below(3) > 0) this.#reconnect();
    }
    const { bytes, count } = stretch(oneOf(this.#kinds), opaque);
    const all = Buffer.concat([this.#rest, bytes]);
    const cut = below(3) === 0 ? all.length - below(Math.min(all.length, 400)) : all.length;
    this.#rest = all.subarray(cut);
    for (const line of this.#lines) line.send(all.subarray(0, cut));
    return count;
  }

  compare(): void {
    const [left, right] = this.#lines;
    expect(left.connection.isOpen).toBe(right.connection.isOpen);
    expect(left.takeAnswers().equals(right.takeAnswers())).toBe(true);
    if (!left.connection.isOpen) this.#reconnect();
  }

  /** Order: what was withheld on the old connection is told to nobody, here and there. */
  #reconnect(): void {
    for (const line of this.#lines) line.connection.close();
    this.#lines = [runs.connect(), single.connect()];
    this.#rest = Buffer.alloc(0);
  }
}

beforeAll(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: START_MS });
  vi.spyOn(Math, 'random').mockReturnValue(0.25);
  runs = await sendWorld({ folder, takesRuns: true });
  single = await sendWorld({ folder, takesRuns: false });
});
afterAll(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  fs.rmSync(folder, { recursive: true });
});

test('runs leave the same log, queues, index, answers and counts as single frames', async () => {
  const pairs = Array.from({ length: LINES }, () => new Pair());
  let sent = 0;
  for (let turn = 0; sent < FRAMES; turn++) {
    const isFull = below(40) === 0;
    for (const world of [runs, single]) world.parts.state.isDiskLow = isFull;
    for (let i = 0; i < SETTLE_EVERY; i++) sent += oneOf(pairs).send(10_000 + (sent % 80_000));
    await runs.settle();
    await single.settle();
    for (const pair of pairs) pair.compare();
    vi.setSystemTime(START_MS + turn * 3);
  }
  expect(countsOf(runs)).toEqual(countsOf(single));
  expect(runs.parts.state.end).toBeGreaterThan(runs.parts.ring.capacity);
  expect(single.inRuns.frames).toBe(0);
  expect(runs.inRuns.frames).toBeGreaterThan(sent / 3);
  await runs.close();
  await single.close();
  const [left, right] = [filesOf(runs.root), filesOf(single.root)];
  expect([...left.keys()]).toEqual([...right.keys()]);
  for (const [name, bytes] of left)
    expect(bytes.equals(right.get(name) as Buffer), name).toBe(true);
}, 120_000);
