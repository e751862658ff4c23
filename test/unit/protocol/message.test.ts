// Records, batches, properties, ids, hashes and checksums.
import * as zlib from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import {
  bodyCrc,
  continueJavaHash,
  crc32,
  decodeBatch,
  decodeHost,
  decodeRecord,
  decodeRecords,
  encodeBatch,
  encodeHost,
  encodeRecord,
  findProperty,
  formatAddress,
  formatMessageProperties,
  formatOffsetMsgId,
  javaHashCode,
  javaHashCodeOfBytes,
  KnownProperties,
  type MessageRecord,
  parseAddress,
  parseMessageProperties,
  parseOffsetMsgId,
  RECORD_FIXED_BYTES,
  rangeText,
  readInt64,
  scanProperties,
  UniqKeyMaker,
  writeHex,
  writeHex64,
  writeInt64,
} from '../../../core-broker/protocol/index.ts';

const v4 = encodeHost('10.0.0.7', 10911);
const v6 = encodeHost('2001:db8::1', 10911);

const record = (over: Partial<MessageRecord> = {}): MessageRecord => ({
  queueId: 3,
  flag: -5,
  queueOffset: 1234567890123,
  physicalOffset: 2 ** 40 + 5,
  sysFlag: 0,
  bornTimestampMs: 1_700_000_000_123,
  bornHost: v4,
  storeTimestampMs: 1_700_000_000_456,
  storeHost: v4,
  reconsumeTimes: 2,
  preparedTransactionOffset: -1,
  body: Buffer.from('hello'),
  topic: 'TopicTest',
  properties: 'TAGS\u0001a\u0002',
  ...over,
});

describe('message record', () => {
  test('V1 with IPv4 hosts has the documented bytes', () => {
    const bytes = encodeRecord(record());
    expect(bytes.length).toBe(RECORD_FIXED_BYTES + 5 + 9 + 7);
    expect(bytes.subarray(0, 8).toString('hex')).toBe(`000000${bytes.length.toString(16)}daa320a7`);
    expect(bytes.readInt32BE(8)).toBe(zlib.crc32('hello') & 0x7fffffff);
    expect(bytes.subarray(48, 56).toString('hex')).toBe('0a00000700002a9f');
    expect(bytes.readInt32BE(84)).toBe(5);
    expect(bytes[93]).toBe(9);
  });

  test.each([
    ['V1, IPv4', {}, 0xa7],
    ['IPv6 born host', { bornHost: v6 }, 0xa7],
    ['IPv6 both', { bornHost: v6, storeHost: v6, sysFlag: 1 }, 0xa7],
    ['V2 topic', { topic: 't'.repeat(200) }, 0xab],
    ['topic of 127 bytes is still V1', { topic: 't'.repeat(127) }, 0xa7],
    ['empty body', { body: Buffer.alloc(0), properties: '' }, 0xa7],
  ])('round trip: %s', (_, over, magicByte) => {
    const source = record(over as Partial<MessageRecord>);
    const bytes = encodeRecord(source);
    const { sizeBytes, magic, bodyCrc: crc, sysFlag, ...rest } = decodeRecord(bytes);
    const wide = (source.bornHost.length > 8 ? 0x10 : 0) | (source.storeHost.length > 8 ? 0x20 : 0);
    expect(rest).toEqual(
      Object.fromEntries(Object.entries(source).filter(([key]) => key !== 'sysFlag')),
    );
    expect([sizeBytes, magic & 0xff, crc, sysFlag]).toEqual([
      bytes.length,
      magicByte,
      bodyCrc(source.body),
      source.sysFlag | wide,
    ]);
  });

  test('a damaged record is refused or decodes, never reads outside', () => {
    const whole = Buffer.concat([encodeRecord(record()), encodeRecord(record({ bornHost: v6 }))]);
    expect(decodeRecords(whole)).toHaveLength(2);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.nat(), (at, byte, cut) => {
        const bytes = Buffer.from(whole.subarray(0, whole.length - (cut % 40)));
        bytes[at % bytes.length] = byte;
        try {
          decodeRecords(bytes);
        } catch (reason) {
          expect(DrError.is(reason, 'CORRUPT', 'PROTOCOL')).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
    const damaged = encodeRecord(record());
    damaged[90] = (damaged[90] ?? 0) ^ 1;
    expect(() => decodeRecord(damaged)).toThrow(/CRC/);
  });
});

describe('batch body', () => {
  test('round trip and bounds', () => {
    const messages = [
      { flag: 1, body: Buffer.from('a'), properties: 'k\u0001v\u0002' },
      { flag: 0, body: Buffer.alloc(0), properties: '' },
    ];
    const body = encodeBatch(messages);
    expect(decodeBatch(body)).toEqual(messages);
    for (let cut = 1; cut < body.length; cut++) {
      if (cut === 22) continue;
      expect(() => decodeBatch(body.subarray(0, body.length - cut))).toThrow(DrError);
    }
    const lying = Buffer.from(body);
    lying.writeInt32BE(0x7fffffff, 16);
    expect(() => decodeBatch(lying)).toThrow(DrError);
  });
});

const withoutSeparators = (text: string): string => text.replaceAll(/\p{Cc}/gu, '');

describe('properties', () => {
  test('text and map', () => {
    const text = 'a\u00011\u0002junk\u0002b\u0001x\u0001y\u0002a\u00012';
    expect([...parseMessageProperties(text)]).toEqual([
      ['a', '2'],
      ['b', 'x\u0001y'],
    ]);
    expect(formatMessageProperties(new Map([['a', '1']]))).toBe('a\u00011\u0002');
  });

  test('the scan finds what the map finds', () => {
    const names = ['KEYS', 'TAGS', 'UNIQ_KEY', 'WAIT', 'DELAY', 'TRAN_MSG', 'other', 'TAG'];
    const fields = ['keys', 'tags', 'uniqKey', 'wait', 'delay', 'tranMsg'] as const;
    const entry = fc.tuple(
      fc.constantFrom(...names),
      fc.string({ maxLength: 8 }).map(withoutSeparators),
    );
    const known = new KnownProperties();
    fc.assert(
      fc.property(fc.array(entry), fc.boolean(), (pairs, terminated) => {
        const text = formatMessageProperties(pairs).slice(0, terminated ? undefined : -1);
        const bytes = Buffer.from(`##${text}`);
        scanProperties(bytes, 2, bytes.length - 2, known);
        const map = parseMessageProperties(text);
        fields.forEach((field, i) => {
          expect(rangeText(bytes, known[field])).toBe(map.get(names[i] ?? ''));
        });
        const area = { start: 2, end: bytes.length };
        expect(findProperty(bytes, area, 'TAGS')).toBe(map.get('TAGS'));
        expect(known.isTerminated).toBe(text === '' || text.endsWith('\u0002'));
      }),
    );
  });
});

describe('ids, hosts, numbers', () => {
  test('offsetMsgId both ways', () => {
    const id = formatOffsetMsgId(v4, 0x123456789a);
    expect(id).toBe('0A00000700002A9F000000123456789A');
    expect(parseOffsetMsgId(id)).toEqual({
      host: '10.0.0.7',
      port: 10911,
      physicalOffset: 0x123456789a,
    });
    expect(parseOffsetMsgId(formatOffsetMsgId(v6, 7))).toMatchObject({ host: '2001:db8::1' });
    expect(() => parseOffsetMsgId('xyz')).toThrow(DrError);
    const out = Buffer.alloc(32);
    writeHex64(out, writeHex(out, 0, v4, { start: 0, end: 8 }), 0x123456789a);
    expect(out.toString()).toBe(id);
  });

  test('unique keys differ and have the length of Java', () => {
    const nowMs = Date.UTC(2024, 4, 3);
    const maker = new UniqKeyMaker({ ip: v4.subarray(0, 4), pid: 70000, salt: -1, nowMs });
    const ids = new Set(Array.from({ length: 1000 }, () => maker.make(nowMs)));
    expect(ids.size).toBe(1000);
    for (const id of ids) expect(id).toMatch(/^0A000007[0-9A-F]{24}$/);
  });

  test('addresses', () => {
    for (const ip of ['::', '::1', '1::', '2001:db8:0:0:1:0:0:1', 'fe80::1:2', '1:2:3:4:5:6:7:8']) {
      const { host } = decodeHost(encodeHost(ip, 1), 0, true);
      expect(encodeHost(host, 1).equals(encodeHost(ip, 1))).toBe(true);
    }
    expect(encodeHost('::ffff:1.2.3.4', 5).toString('hex')).toBe('0102030400000005');
    for (const bad of [
      '',
      'name',
      '1.2.3',
      '1.2.3.256',
      '1:2',
      '1::2::3',
      ':::',
      '1:2:3:4:5:6:7:8:9',
      'g::',
    ]) {
      expect(() => encodeHost(bad, 1)).toThrow(DrError);
    }
    expect(parseAddress('[::1]:80')).toEqual({ host: '::1', port: 80 });
    expect(formatAddress({ host: '::1', port: 80 })).toBe('[::1]:80');
    for (const bad of ['host', 'host:', ':1', 'host:99999', 'host:1x']) {
      expect(() => parseAddress(bad)).toThrow(DrError);
    }
  });

  test('64-bit integers are exact or refused', () => {
    const bytes = Buffer.alloc(8);
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        writeInt64(bytes, value, 0);
        expect(bytes.readBigInt64BE()).toBe(BigInt(value));
        expect(readInt64(bytes, 0)).toBe(value);
      }),
    );
    bytes.writeBigInt64BE(2n ** 53n);
    expect(() => readInt64(bytes, 0)).toThrow(DrError);
  });

  test('CRC and Java hash agree with their references at every length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat(20), (data, skip) => {
        const bytes = Buffer.from(data);
        const start = Math.min(skip, bytes.length);
        expect(crc32(bytes, start)).toBe(zlib.crc32(bytes.subarray(start)));
      }),
    );
    expect(javaHashCode('TagA')).toBe(2598919);
    expect(javaHashCode('polygenelubricants')).toBe(-2147483648);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (a, b) => {
        const bytes = Buffer.from(a);
        const hash = javaHashCodeOfBytes(bytes, 0, bytes.length);
        expect(hash).toBe(javaHashCode(a));
        const tail = Buffer.from(b);
        const joined = continueJavaHash(hash, { bytes: tail, start: 0, end: tail.length });
        expect(joined).toBe(javaHashCode(a + b));
      }),
    );
  });
});
