// Frames: what we write, what we accept, what we refuse.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import {
  decodeCommand,
  encodeCommand,
  encodeRequest,
  encodeResponse,
  isOneway,
  isResponse,
  RequestCode,
  requestCodeName,
  versionText,
} from '../../../core-broker/protocol/index.ts';

const decode = (frame: Buffer) => decodeCommand(frame, 0, frame.length);

function jsonFrame(header: string, body = ''): Buffer {
  const bytes = Buffer.from(header);
  const out = Buffer.alloc(8 + bytes.length + body.length);
  out.writeInt32BE(out.length - 4, 0);
  out.writeInt32BE(bytes.length, 4);
  bytes.copy(out, 8);
  out.write(body, 8 + bytes.length);
  return out;
}

describe('frame codec', () => {
  test('a response is strict JSON with text values and always has extFields', () => {
    const frame = encodeResponse(7, { code: 0, ext: { queueId: 3, isOk: true, none: undefined } });
    const header = frame.toString('utf8', 8);
    expect(frame.readInt32BE(0)).toBe(frame.length - 4);
    expect(frame.readInt32BE(4)).toBe(frame.length - 8);
    expect(header).toBe(
      '{"code":0,"extFields":{"queueId":"3","isOk":"true"},"flag":1,"language":"JAVA","opaque":7,' +
        '"serializeTypeCurrentRPC":"JSON","version":513}',
    );
    expect(encodeResponse(7, { code: 1 }).toString()).toContain('"extFields":{}');
  });

  test('both header types carry the same command', () => {
    const ext = fc.dictionary(
      fc.string({ minLength: 1, maxLength: 9 }),
      fc.string({ minLength: 1 }),
    );
    const body = fc.uint8Array({ minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(fc.integer(), ext, body, fc.boolean(), (opaque, fields, bytes, oneway) => {
        for (const header of ['JSON', 'ROCKETMQ'] as const) {
          const request = { code: 310, ext: fields, body: bytes };
          const command = decode(encodeRequest(request, opaque, { oneway, header }));
          expect(command).toMatchObject({ code: 310, opaque, language: 'JAVA', version: 513 });
          expect({ ...command.ext }).toEqual({ ...fields });
          expect(command.body?.equals(bytes)).toBe(true);
          expect([isOneway(command), isResponse(command)]).toEqual([oneway, false]);
          expect(decode(encodeCommand(command, header))).toEqual(command);
        }
      }),
    );
  });

  test('bare numbers, booleans, nulls and unknown fields of ali-ons are read as text', () => {
    const command = decode(
      jsonFrame(
        '{"code":"14","language":"NODE","opaque":1,"flag":0,"version":121,"x":[1],' +
          '"extFields":{"queueId":0,"isOk":true,"none":null,"big":1700000000000}}',
        'abc',
      ),
    );
    expect({ ...command.ext }).toEqual({ queueId: '0', isOk: 'true', big: '1700000000000' });
    expect(command.code).toBe(14);
    expect(command.body?.toString()).toBe('abc');
  });

  test('keys of Object.prototype are data', () => {
    const command = decode(
      jsonFrame('{"code":1,"opaque":1,"flag":0,"extFields":{"__proto__":"x","constructor":"y"}}'),
    );
    expect(Object.keys(command.ext).sort()).toEqual(['__proto__', 'constructor']);
    expect(command.ext['toString']).toBeUndefined();
  });

  test('the decoded body does not share memory with the chunk', () => {
    const frame = encodeRequest({ code: 1, body: 'abc' }, 1);
    const { body } = decode(frame);
    frame.fill(0);
    expect(body?.toString()).toBe('abc');
  });

  test.each([
    ['no frame', Buffer.from([0, 0, 0, 4])],
    ['header longer than the frame', Buffer.from([0, 0, 0, 6, 0, 0, 0, 9, 0, 0])],
    ['unknown header type', Buffer.from([0, 0, 0, 4, 9, 0, 0, 0])],
    ['empty JSON', jsonFrame('')],
    ['not an object', jsonFrame('[1]')],
    ['no code', jsonFrame('{"opaque":1}')],
    ['code is not a number', jsonFrame('{"code":"x","opaque":1}')],
    ['opaque is no int32', jsonFrame('{"code":1,"opaque":4294967296}')],
    ['extFields is a list', jsonFrame('{"code":1,"opaque":1,"extFields":[1]}')],
    ['deep nesting', jsonFrame(`{"code":1,"extFields":{"a":${'['.repeat(100_000)}`)],
    ['deep nesting behind odd quotes', jsonFrame(`{'"':${'{a:'.repeat(100_000)}`)],
    ['binary header too short', Buffer.from([0, 0, 0, 6, 1, 0, 0, 2, 0, 0])],
  ])('refuses: %s', (_, frame) => {
    expect(() => decode(frame)).toThrow(DrError);
    expect(() => decode(frame)).toThrow(expect.objectContaining({ code: 'PROTOCOL' }));
  });

  test('damaged frames decode or are refused, never anything else', () => {
    const request = { code: 310, ext: { a: 'group', i: 'k\u0001v\u0002' }, body: 'body' };
    fc.assert(
      fc.property(
        fc.constantFrom('JSON' as const, 'ROCKETMQ' as const),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (header, changes) => {
          const frame = encodeRequest(request, 5, { header });
          for (const [at, byte] of changes) frame[at % frame.length] = byte;
          try {
            decode(frame);
          } catch (reason) {
            expect(DrError.is(reason, 'PROTOCOL')).toBe(true);
          }
        },
      ),
      { numRuns: 3000 },
    );
  });

  test('codes above 32767 need a JSON header', () => {
    expect(decode(encodeRequest({ code: 200050 }, 1)).code).toBe(200050);
    expect(() => encodeRequest({ code: 200050 }, 1, { header: 'ROCKETMQ' })).toThrow(DrError);
  });

  test('names and versions read as RocketMQ writes them', () => {
    expect(requestCodeName(310)).toBe('SEND_MESSAGE_V2');
    expect(requestCodeName(77777)).toBe('code_77777');
    const codes = Object.values(RequestCode);
    expect(new Set(codes).size).toBe(codes.length);
    expect([393, 407, 413, 479, 513, 478].map(versionText)).toEqual([
      'V4_9_0',
      'V4_9_7',
      'V5_0_0',
      'V5_3_3',
      'V5_5_0',
      'V5_3_3_SNAPSHOT',
    ]);
  });
});
