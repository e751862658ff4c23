// The scanned road of pulls against the decoded one: whatever the reader takes it must read exactly as
// the decoder does, with texts it has seen before, with new ones and with damaged bytes. And the
// template of answers against the codec.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodedPull, FoundTemplate, PullReader } from '../../core-broker/broker/pull/index.ts';
import {
  decodeCommand,
  encodeRequest,
  encodeResponse,
  PullRequestView,
} from '../../core-broker/protocol/index.ts';

const BEFORE = 5;

// Few characters, so that the same texts come again, and texts that share bytes at other borders.
const name = fc.string({ unit: fc.constantFrom('a', 'b', '%', 'é'), minLength: 1, maxLength: 3 });
const number = (max: number) => fc.nat(max).map(String);
const ext = fc.record(
  {
    consumerGroup: name,
    topic: name,
    queueId: number(9),
    queueOffset: number(2 ** 40),
    maxMsgNums: number(64),
    sysFlag: number(31),
    commitOffset: fc.integer({ min: -1, max: 2 ** 40 }).map(String),
    suspendTimeoutMillis: number(30_000),
    subVersion: number(2 ** 43),
    subscription: fc.constantFrom('', '*', 'a', 'a || b', 'a > 3', 'é'),
    expressionType: fc.constantFrom('TAG', 'SQL92', 'ab'),
    unknown: name,
  },
  {
    requiredKeys: [
      'consumerGroup',
      'topic',
      'queueId',
      'queueOffset',
      'maxMsgNums',
      'sysFlag',
      'commitOffset',
      'suspendTimeoutMillis',
      'subVersion',
    ],
  },
);
const frame = fc
  .record({
    code: fc.constantFrom(11, 361),
    opaque: fc.integer({ min: -0x80000000, max: 0x7fffffff }),
    header: fc.constantFrom('JSON' as const, 'ROCKETMQ' as const),
    ext,
  })
  .map(({ code, opaque, header, ext: fields }) => {
    const bytes = encodeRequest({ code, ext: fields as Record<string, string> }, opaque, {
      header,
    });
    return Buffer.concat([Buffer.alloc(BEFORE, 0x7b), bytes]);
  });

describe('the reader of pulls', () => {
  const reader = new PullReader(new PullRequestView());

  test('takes what clients write, and reads it as the decoder does', () => {
    fc.assert(
      fc.property(frame, (chunk) => {
        const read = reader.read(chunk, BEFORE, chunk.length);
        expect(read).toEqual(decodedPull(decodeCommand(chunk, BEFORE, chunk.length)));
      }),
      { numRuns: 3_000 },
    );
  });

  test('reads no damaged frame in another way than the decoder', () => {
    const damage = fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(frame, damage, (chunk, bytes) => {
        for (const [at, byte] of bytes) {
          if (BEFORE + 4 + at < chunk.length) chunk[BEFORE + 4 + at] = byte;
        }
        const read = reader.read(chunk, BEFORE, chunk.length);
        if (read === undefined) return;
        expect(read).toEqual(decodedPull(decodeCommand(chunk, BEFORE, chunk.length)));
      }),
      { numRuns: 20_000 },
    );
  });

  test('leaves empty names, oneway requests and very long texts to the decoder', () => {
    const fields = {
      consumerGroup: 'g',
      topic: 't',
      queueId: 0,
      queueOffset: 0,
      maxMsgNums: 1,
      sysFlag: 0,
      commitOffset: 0,
      suspendTimeoutMillis: 0,
      subVersion: 0,
    };
    const takes = (other: Record<string, string>, oneway = false): boolean => {
      const bytes = encodeRequest({ code: 11, ext: { ...fields, ...other } }, 1, { oneway });
      return reader.read(bytes, 0, bytes.length) !== undefined;
    };
    expect(takes({})).toBe(true);
    expect(takes({ topic: '' })).toBe(false);
    expect(takes({ consumerGroup: '' })).toBe(false);
    expect(takes({ subscription: 'x'.repeat(2_000) })).toBe(false);
    expect(takes({}, true)).toBe(false);
  });

  test('goes on after more names than it remembers', () => {
    for (let i = 0; i < 10_000; i++) {
      const fields = { consumerGroup: `g${i}`, topic: 't', queueId: 0, queueOffset: i };
      const rest = { maxMsgNums: 1, sysFlag: 0, commitOffset: 0, suspendTimeoutMillis: 0 };
      const bytes = encodeRequest({ code: 11, ext: { ...fields, ...rest, subVersion: 0 } }, i);
      expect(reader.read(bytes, 0, bytes.length)).toMatchObject({ group: `g${i}`, offset: i });
    }
  });
});

test('the header of an answer is what the codec writes', () => {
  const template = new FoundTemplate();
  const out = Buffer.alloc(template.bytesMax + 1);
  const offset = fc.nat(2 ** 52);
  const found = fc.record({
    opaque: fc.integer({ min: -0x80000000, max: 0x7fffffff }),
    nextBeginOffset: offset,
    minOffset: offset,
    maxOffset: offset,
    bodyBytes: fc.nat(1 << 24),
  });
  fc.assert(
    fc.property(found, (header) => {
      const { opaque, bodyBytes, ...offsets } = header;
      const end = template.encode(out, 1, header);
      const flags = { topicSysFlag: 0, groupSysFlag: 0 };
      const fields = { suggestWhichBrokerId: 0, ...offsets, ...flags };
      const codec = encodeResponse(opaque, { code: 0, remark: 'FOUND', ext: fields });
      codec.writeInt32BE(codec.length - 4 + bodyBytes, 0);
      expect(out.subarray(1, end)).toEqual(codec);
    }),
    { numRuns: 1_000 },
  );
});
