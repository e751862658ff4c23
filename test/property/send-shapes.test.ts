// Shapes of sends against the scanner: a frame that fits a shape must read exactly as the scanner reads
// it, for the sends that follow each other on a connection and for frames with damaged bytes.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  encodeRequest,
  formatMessageProperties,
  SendRequestView,
  type SendShape,
  scanSendRequest,
  shapeOf,
} from '../../core-broker/protocol/index.ts';

const ROOM_BYTES = 16;
const BEFORE = 3;

interface Send {
  opaque: number;
  queueId: number;
  born: number;
  key: string;
  unique: string;
  tag: string;
  body: Uint8Array;
}

const printable = (length: number) =>
  fc.string({
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: length,
    maxLength: length,
  });

const send: fc.Arbitrary<Send> = fc.record({
  opaque: fc.integer({ min: 100, max: 999 }),
  queueId: fc.nat(9),
  born: fc.integer({ min: 1_600_000_000_000, max: 1_900_000_000_000 }),
  key: printable(7),
  unique: printable(32),
  tag: printable(3),
  body: fc.uint8Array({ maxLength: 40 }),
});

const isPlain = ({ key, unique, tag }: Send): boolean => !/["\\]/.test(key + unique + tag);

function frameOf(each: Send, isBinary: boolean): Buffer {
  const properties = formatMessageProperties([
    ['KEYS', each.key],
    ['UNIQ_KEY', each.unique],
    ['TAGS', each.tag],
    ['own', ''],
  ]);
  const ext = {
    a: 'producers',
    b: 'orders',
    c: 'TBW102',
    d: '4',
    e: String(each.queueId),
    f: '0',
    g: String(each.born),
    h: '7',
    i: properties,
    j: '0',
  };
  const init = { code: 310, ext, body: Buffer.from(each.body) };
  return encodeRequest(init, each.opaque, { header: isBinary ? 'ROCKETMQ' : 'JSON' });
}

const embed = (frame: Buffer): Buffer => Buffer.concat([Buffer.alloc(BEFORE, 0x7b), frame]);

function learn(each: Send, isBinary: boolean): SendShape {
  const view = new SendRequestView();
  const chunk = embed(frameOf(each, isBinary));
  expect(scanSendRequest(chunk, BEFORE, chunk.length, view)).toBe(true);
  const shape = shapeOf(chunk, view, ROOM_BYTES);
  if (shape === undefined) throw new Error('no shape');
  return shape;
}

function expectAsScanned(shape: SendShape, chunk: Buffer): void {
  const view = new SendRequestView();
  expect(scanSendRequest(chunk, BEFORE, chunk.length, view)).toBe(true);
  const { opaque, queueId, bornTimestampMs, bodyStart, bodyLength } = shape;
  expect({ opaque, queueId, bornTimestampMs, bodyStart, bodyLength }).toEqual({
    opaque: view.opaque,
    queueId: view.queueId,
    bornTimestampMs: view.bornTimestampMs,
    bodyStart: view.bodyStart,
    bodyLength: view.bodyLength,
  });
  const { properties, propertiesStart, propertiesLength } = view;
  const scanned = properties.subarray(propertiesStart, propertiesStart + propertiesLength);
  expect(shape.textLength).toBe(propertiesLength);
  expect(shape.text.subarray(0, propertiesLength).equals(scanned)).toBe(true);
}

describe.each([
  ['JSON', false],
  ['binary', true],
])('the shape of a %s header', (_, isBinary) => {
  const first: Send = {
    opaque: 123,
    queueId: 0,
    born: 1_700_000_000_000,
    key: 'order-1',
    unique: '7F000001000100000000000000000000',
    tag: 'new',
    body: new Uint8Array(0),
  };

  test('fits the next sends of the client and reads them as the scanner does', () => {
    const shape = learn(first, isBinary);
    fc.assert(
      fc.property(send.filter(isPlain), (each) => {
        const chunk = embed(frameOf(each, isBinary));
        expect(shape.fits(chunk, BEFORE, chunk.length)).toBe(true);
        expectAsScanned(shape, chunk);
      }),
      { numRuns: 500 },
    );
  });

  test('fits no frame that the scanner reads differently', () => {
    const shape = learn(first, isBinary);
    const odd = fc.constantFrom(
      ...[0, 1, 2, 9, 0x1f, 0x22, 0x2c, 0x2d, 0x30, 0x5c, 0x7f, 0x80, 0xff],
    );
    const changes = fc.array(fc.tuple(fc.nat(), fc.oneof(fc.nat(255), odd)), {
      minLength: 1,
      maxLength: 3,
    });
    fc.assert(
      fc.property(send, changes, (each, bytes) => {
        const chunk = embed(frameOf(each, isBinary));
        for (const [at, byte] of bytes) chunk[BEFORE + 4 + (at % (chunk.length - 7))] = byte;
        if (shape.fits(chunk, BEFORE, chunk.length)) expectAsScanned(shape, chunk);
      }),
      { numRuns: 20_000 },
    );
  });

  test('fits no header of another length, topic or kind', () => {
    const shape = learn(first, isBinary);
    const fits = (frame: Buffer) => shape.fits(embed(frame), BEFORE, BEFORE + frame.length);
    expect(fits(frameOf({ ...first, opaque: 1234 }, isBinary))).toBe(isBinary);
    expect(fits(frameOf({ ...first, key: 'order-11' }, isBinary))).toBe(false);
    expect(fits(frameOf(first, !isBinary))).toBe(false);
    const other = frameOf(first, isBinary);
    other.write('0rders', other.indexOf('orders'));
    expect(fits(other)).toBe(false);
    const cut = frameOf(first, isBinary);
    expect(shape.fits(embed(cut), BEFORE, BEFORE + cut.length - 1)).toBe(false);
  });
});

test('a header with credentials, an odd escape or no value makes no shape', () => {
  const view = new SendRequestView();
  const make = (properties: string, more: Record<string, string> = {}) => {
    const ext = { ...Object.fromEntries([...'acdefgh'].map((key) => [key, '1'])), b: 'orders' };
    const chunk = encodeRequest({ code: 310, ext: { ...ext, i: properties, ...more } }, 1);
    expect(scanSendRequest(chunk, 0, chunk.length, view)).toBe(true);
    return shapeOf(chunk, view, 0);
  };
  expect(make('k\u0001v\u0002')).toBeDefined();
  expect(make('k\u0001v')).toBeDefined();
  expect(make('k\u0001v\u0002', { AccessKey: 'a', Signature: 's' })).toBeUndefined();
  expect(make('k\u0001"\u0002')).toBeUndefined();
  expect(make('k\u0002')).toBeUndefined();
  expect(make('k')).toBeUndefined();
  expect(make('k\u0001a\u0001b\u0002')).toBeUndefined();
});
