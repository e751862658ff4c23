// Runs against single frames at the edges that chance seldom meets: keys, tags and numbers of every length,
// numbers around powers of ten, and whatever else may stand where a number is expected. And queue offsets
// that no test could reach by sending, against the digits JavaScript writes.
import * as fs from 'node:fs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { sendLayout as at } from '../../core-broker/kernel/index.ts';
import { encodeRequest, formatMessageProperties } from '../../core-broker/protocol/index.ts';
import { filesOf, type SendWorld, sendWorld } from '../support/send-world.ts';
import { tempFolder } from '../support/store-options.ts';

const START_MS = 1_790_000_000_000;
const QUEUES = 64;
/** After so many a shape is learned, and a run is offered. */
const TAUGHT = 12;
const folder = tempFolder();
let runs: SendWorld;
let single: SendWorld;

interface Send {
  isBinary: boolean;
  unique: string;
  keys: string;
  tag: string;
  queueId: string;
  born: string;
  opaque: number;
}

const PLAIN: Send = {
  isBinary: false,
  unique: '7F0000010001',
  keys: 'order-1',
  tag: 'TagA',
  queueId: '1',
  born: String(START_MS),
  opaque: 1_000_000_000,
};

function frameOf(send: Send): Buffer {
  const properties = formatMessageProperties([
    ['KEYS', send.keys],
    ['UNIQ_KEY', send.unique],
    ['TAGS', send.tag],
  ]);
  const { queueId: e, born: g } = send;
  const ext = {
    a: 'p',
    b: 'edges',
    c: 'TBW102',
    d: '4',
    e,
    f: '0',
    g,
    h: '0',
    i: properties,
    j: '0',
  };
  const header = send.isBinary ? 'ROCKETMQ' : 'JSON';
  return encodeRequest({ code: 310, ext, body: Buffer.from('body') }, send.opaque, { header });
}

/** Sends like the first one are learned, then all of them come in one read; here and there. */
async function compare(sends: readonly Send[]): Promise<void> {
  const [first] = sends as [Send];
  const read = Buffer.concat(sends.map(frameOf));
  const answers: Buffer[] = [];
  for (const world of [runs, single]) {
    const line = world.connect();
    line.send(Buffer.concat(new Array(TAUGHT).fill(frameOf(first))));
    line.send(read);
    await world.settle();
    answers.push(line.takeAnswers());
    line.connection.close();
  }
  expect((answers[0] as Buffer).toString('latin1')).toBe((answers[1] as Buffer).toString('latin1'));
  expect((answers[0] as Buffer).length).toBeGreaterThan(0);
}

beforeAll(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: START_MS });
  runs = await sendWorld({ folder, takesRuns: true });
  single = await sendWorld({ folder, takesRuns: false });
  for (const world of [runs, single]) {
    const { topics } = world.built.parts.tables;
    world.connect().send(frameOf(PLAIN));
    const made = topics.find('edges')?.config;
    if (made === undefined) throw new Error('no topic');
    topics.put({ ...made, readQueueNums: QUEUES, writeQueueNums: QUEUES });
  }
});
afterAll(() => {
  vi.useRealTimers();
  fs.rmSync(folder, { recursive: true });
});

const HEADERS = [false, true];
const like = (send: Partial<Send>): Send[] => new Array(6).fill({ ...PLAIN, ...send });
const letters = (length: number): string =>
  Array.from({ length }, (_, i) => String.fromCharCode(0x41 + ((i * 7) % 57)))
    .join('')
    .replaceAll('\\', 'x');

test.each(HEADERS)('unique keys and tags of every length (binary: %s)', async (isBinary) => {
  for (let length = 0; length <= 70; length++) {
    await compare(like({ isBinary, unique: letters(length), tag: letters(70 - length) }));
  }
});

test('key lists of every length, blanks at every place', async () => {
  for (let length = 0; length <= 70; length++) await compare(like({ keys: letters(length) }));
  const keys = [...letters(40)];
  const lists = keys.map((_, i) =>
    keys.map((c, j) => (j === i || j === 39 - i ? ' ' : c)).join(''),
  );
  lists.push('a b c d'.padEnd(40), ' '.repeat(40), 'a b c d e'.padEnd(40), 'x'.padStart(40));
  for (let i = 0; i < lists.length; i += 4) {
    await compare(lists.slice(i, i + 4).map((list) => ({ ...PLAIN, keys: list })));
  }
});

const powers = Array.from({ length: 15 }, (_, k) => 10 ** k);

test('born times around every power of ten, and what is no number', async () => {
  for (const power of powers) {
    const borns = [power, power + 1, 2 * power, 9 * power, 10 * power - 1];
    await compare(borns.map((born) => ({ ...PLAIN, born: String(born) })));
  }
  const taught = like({});
  for (let place = 0; place < 13; place++) {
    for (const odd of ['/', ':', '0', 'a', ' ', '-', '.']) {
      const born = `${PLAIN.born.slice(0, place)}${odd}${PLAIN.born.slice(place + 1)}`;
      await compare([...taught, { ...PLAIN, born }, ...taught]);
    }
  }
});

test.each(HEADERS)('opaques and queues around powers of ten (binary: %s)', async (isBinary) => {
  for (const power of powers.slice(0, 10)) {
    const opaques = [power, power + 1, 2 * power, 10 * power - 1, 2 ** 31 - 1];
    const sends = opaques
      .filter((n) => n < 2 ** 31)
      .map((opaque) => ({ ...PLAIN, isBinary, opaque }));
    await compare(sends);
  }
  for (const queueIds of [
    ['0', '9', '4', '7'],
    ['10', '63', '64', '99', '11'],
  ]) {
    await compare(queueIds.map((queueId) => ({ ...PLAIN, isBinary, queueId })));
  }
});

test('the answer names any queue offset', () => {
  const { kernel } = runs.parts;
  const lines = [runs.connect(), single.connect()];
  const run = kernel.run.bind(kernel);
  const named = new Map<number, number>();
  const offsets = powers.flatMap((power) => [power, power + 1, 10 * power - 1]);
  offsets.push(0, 2, 2 ** 53 - 2, 99_999_999, 123_456_789_012_345);
  const send = (bytes: Buffer) => {
    for (const line of lines) line.send(bytes);
  };
  send(Buffer.concat(new Array(TAUGHT).fill(frameOf(PLAIN))));
  for (const offset of offsets) {
    // Nothing of it is kept: the caller hears that no frame was taken.
    kernel.run = () => {
      const table = kernel.ints[(at.CALL + at.CALL_SHAPES) / 4 + 1] as number;
      kernel.doubles[table / 8 + Number(PLAIN.queueId)] = offset;
      if (run() > 0) {
        const text = kernel.bytes.toString('latin1', at.REPLIES, at.REPLIES + 2_000);
        named.set(offset, Number(/"queueOffset":"(\d+)"/.exec(text)?.[1]));
      }
      return 0;
    };
    send(Buffer.concat(like({}).map(frameOf)));
  }
  kernel.run = run;
  for (const offset of offsets) expect(named.get(offset)).toBe(offset);
});

test('log, queues and index are the same, byte for byte', async () => {
  expect(runs.inRuns.frames).toBeGreaterThan(1_000);
  await runs.settle();
  await runs.close();
  await single.close();
  const [left, right] = [filesOf(runs.root), filesOf(single.root)];
  expect([...left.keys()]).toEqual([...right.keys()]);
  for (const [name, bytes] of left)
    expect(bytes.equals(right.get(name) as Buffer), name).toBe(true);
});
