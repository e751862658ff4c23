// The hot-path scanners against the generic decoder: whenever a scanner says true, both must agree,
// for frames as clients write them and for frames with damaged bytes.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeCommand,
  encodeRequest,
  PullRequestView,
  type RemotingCommand,
  SendRequestView,
  scanPullRequest,
  scanSendRequest,
} from '../../core-broker/protocol/index.ts';

type Ext = Record<string, string | number | boolean>;

const int32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const plain = fc.stringMatching(/^[%|a-zA-Z0-9_-]{1,40}$/);
const word = fc.string({ unit: 'grapheme', maxLength: 12 });
const properties = fc
  .array(fc.tuple(word, word), { maxLength: 5 })
  .map((pairs) => pairs.map(([k, v]) => `${k}\u0001${v}\u0002`).join(''));

const SHORT = 'abcdefghijklmn';
const LONG = [
  'producerGroup',
  'topic',
  'defaultTopic',
  'defaultTopicQueueNums',
  'queueId',
  'sysFlag',
  'bornTimestamp',
  'flag',
  'properties',
  'reconsumeTimes',
  'unitMode',
  'maxReconsumeTimes',
  'batch',
  'bname',
];

/** C++ clients write 0 and 1; Java takes both for false. */
const truth = fc.oneof(fc.boolean(), fc.constantFrom('0', '1', 'TRUE', 'False', 'yes'));
const isTrue = (value: string | undefined): boolean => value?.toLowerCase() === 'true';

const sendValues = fc.tuple(
  plain,
  plain,
  plain,
  fc.nat(64),
  fc.integer({ min: -1, max: 1000 }),
  fc.nat(0x7ff),
  fc.nat(2 ** 43),
  int32,
  properties,
  fc.option(fc.nat(20), { nil: undefined }),
  fc.option(truth, { nil: undefined }),
  fc.option(fc.integer({ min: -1, max: 100 }), { nil: undefined }),
  fc.option(truth, { nil: undefined }),
  fc.option(plain, { nil: undefined }),
);

const sendRequest = fc
  .record({
    code: fc.constantFrom(10, 310, 320),
    values: sendValues,
    opaque: int32,
    oneway: fc.boolean(),
    body: fc.uint8Array({ maxLength: 64 }),
    extra: fc.dictionary(fc.constantFrom('ns', 'nsd', 'oway', 'lo', 'AccessKey'), plain),
    order: fc.infiniteStream(fc.nat()),
  })
  .map(({ code, values, extra, order, ...rest }) => {
    const names = code === 10 ? LONG : [...SHORT];
    const entries: [string, string | number | boolean][] = Object.entries(extra);
    values.forEach((value, i) => {
      if (value !== undefined) entries.push([names[i] ?? '', value]);
    });
    const keyed = entries.map((entry) => [order.next().value, entry] as const);
    keyed.sort(([left], [right]) => left - right);
    return { code, ext: Object.fromEntries(keyed.map(([, entry]) => entry)) as Ext, ...rest };
  });

type Style = 'java' | 'ali-ons' | 'binary';

/** Headers as the Java client (all text, alphabetical), ali-ons (bare values) and binary peers write. */
function frameOf(
  request: { code: number; ext: Ext; opaque: number; oneway: boolean; body: Uint8Array },
  style: Style,
): Buffer {
  const { code, ext, opaque, oneway, body } = request;
  if (style === 'ali-ons') {
    const flag = oneway ? 2 : 0;
    const header = Buffer.from(
      JSON.stringify({ code, language: 'JAVA', opaque, flag, version: 121, extFields: ext }),
    );
    const out = Buffer.alloc(8 + header.length + body.length);
    out.writeInt32BE(out.length - 4, 0);
    out.writeInt32BE(header.length, 4);
    header.copy(out, 8);
    out.set(body, 8 + header.length);
    return out;
  }
  const header = style === 'binary' ? 'ROCKETMQ' : 'JSON';
  return encodeRequest({ code, ext, body }, opaque, { oneway, header });
}

const styles = fc.constantFrom<Style>('java', 'ali-ons', 'binary');

const text = (bytes: Buffer, start: number, length: number): string =>
  bytes.toString('utf8', start, start + length);

function expectSameSend(chunk: Buffer, view: SendRequestView, command: RemotingCommand): void {
  const names = command.code === 10 ? LONG : [...SHORT];
  const field = (id: number): string | undefined => command.ext[names[id] ?? ''];
  expect(view.code).toBe(command.code);
  expect(view.opaque).toBe(command.opaque);
  expect(view.version).toBe(command.version);
  expect(view.isOneway).toBe((command.flag & 2) !== 0);
  expect(command.flag & 1).toBe(0);
  expect(text(chunk, view.groupStart, view.groupLength)).toBe(field(0));
  expect(text(chunk, view.topicStart, view.topicLength)).toBe(field(1));
  expect(text(chunk, view.defaultTopicStart, view.defaultTopicLength)).toBe(field(2));
  expect(view.defaultTopicQueueNums).toBe(Number(field(3)));
  expect(view.queueId).toBe(Number(field(4)));
  expect(view.sysFlag).toBe(Number(field(5)));
  expect(view.bornTimestampMs).toBe(Number(field(6)));
  expect(view.flag).toBe(Number(field(7)));
  const { properties: area, propertiesStart, propertiesLength } = view;
  expect(text(area, propertiesStart, propertiesLength)).toBe(field(8) ?? '');
  expect(view.reconsumeTimes).toBe(Number(field(9) ?? 0));
  expect(view.unitMode).toBe(isTrue(field(10)));
  expect(view.maxReconsumeTimes).toBe(Number(field(11) ?? -1));
  expect(view.isBatch).toBe(isTrue(field(12)) || command.code === 320);
  expect(view.hasCredentials).toBe('AccessKey' in command.ext || 'Signature' in command.ext);
  const body = chunk.subarray(view.bodyStart, view.bodyStart + view.bodyLength);
  expect(body.equals(command.body ?? Buffer.alloc(0))).toBe(true);
}

/** The frame somewhere inside a larger chunk, as reads deliver it. */
const embed = (frame: Buffer): Buffer =>
  Buffer.concat([Buffer.alloc(5, 0x7b), frame, Buffer.alloc(7)]);

const mutation = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });

/** Changes bytes behind the two length words, so that the frame still frames. */
function mutate(frame: Buffer, changes: [number, number][]): Buffer {
  const out = Buffer.from(frame);
  for (const [at, byte] of changes) out[8 + (at % (out.length - 8))] = byte;
  return out;
}

const INTERESTING = [...'"\\{}[],:0-9.eEu\u0001tfn '].map((c) => c.charCodeAt(0));
const jsonMutation = fc.array(fc.tuple(fc.nat(), fc.constantFrom(...INTERESTING)), {
  minLength: 1,
  maxLength: 3,
}) as fc.Arbitrary<[number, number][]>;

describe('send scanner', () => {
  const view = new SendRequestView();

  test('takes every frame that clients write and agrees with the generic decoder', () => {
    fc.assert(
      fc.property(sendRequest, styles, (request, style) => {
        const frame = frameOf(request, style);
        const chunk = embed(frame);
        expect(scanSendRequest(chunk, 5, 5 + frame.length, view)).toBe(true);
        expectSameSend(chunk, view, decodeCommand(chunk, 5, 5 + frame.length));
      }),
      { numRuns: 500 },
    );
  });

  test('never takes a damaged frame that the generic decoder reads differently', () => {
    fc.assert(
      fc.property(sendRequest, styles, fc.oneof(mutation, jsonMutation), (request, style, by) => {
        const frame = mutate(frameOf(request, style), by);
        if (!scanSendRequest(frame, 0, frame.length, view)) return;
        expectSameSend(frame, view, decodeCommand(frame, 0, frame.length));
      }),
      { numRuns: 5000 },
    );
  });

  test('leaves unusual headers to the generic decoder', () => {
    const base =
      '"a":"g","b":"t","c":"TBW102","d":"4","e":"0","f":"0","g":"1","h":"0","i":"k\\u0001v\\u0002"';
    const head = '"code":310,"flag":0,"language":"JAVA","opaque":7,"version":479';
    const scan = (header: string): boolean => {
      const bytes = Buffer.from(header);
      const frame = Buffer.alloc(8 + bytes.length);
      frame.writeInt32BE(frame.length - 4, 0);
      frame.writeInt32BE(bytes.length, 4);
      bytes.copy(frame, 8);
      return scanSendRequest(frame, 0, frame.length, view);
    };
    expect(scan(`{${head},"extFields":{${base}}}`)).toBe(true);
    expect(scan(`{${head},"extFields":{${base},"e":"1"}}`), 'duplicate field').toBe(false);
    const born = base.replace('"g":"1"', '"g":"9007199254740993"');
    expect(scan(`{${head},"extFields":{${born}}}`), 'inexact number').toBe(false);
    expect(scan(`{${head},"opaque":8,"extFields":{${base}}}`), 'duplicate opaque').toBe(false);
    expect(scan(`{"extFields":{${base}},${head}}`), 'code after fields').toBe(false);
    expect(scan(`{${head},"extFields":{${base},"x":{"y":1}}}`), 'nested').toBe(false);
    expect(scan(`{${head},"extFields":{${base},"x":null}}`), 'null').toBe(false);
    expect(scan(`{${head}, "extFields":{${base}}}`), 'blank').toBe(false);
    expect(scan(`{${head},"extFields":{${base}}}x`), 'text behind').toBe(false);
    expect(scan(`{${head},"extFields":{${base.replace('"e":"0",', '')}}}`), 'missing').toBe(false);
    expect(scan(`{${head},"extFields":{${base.replace('"t"', '"\\u0074"')}}}`), 'escape').toBe(
      false,
    );
    expect(scan(`{${head.replace('"flag":0', '"flag":1')},"extFields":{${base}}}`)).toBe(false);
    expect(scan(`{${head},"extFields":{${base.replace('v', '\\ud800')}}}`), 'surrogate').toBe(
      false,
    );
    expect(scan(`{${head.replace('310', '11')},"extFields":{${base}}}`), 'other code').toBe(false);
  });
});

test('a binary header with a duplicate field is left to the generic decoder', () => {
  const view = new SendRequestView();
  const ext: Ext = Object.fromEntries([...'abcdefgh'].map((key) => [key, '1']));
  const scan = (entries: Ext): boolean => {
    const frame = encodeRequest({ code: 310, ext: entries }, 1, { header: 'ROCKETMQ' });
    // Turns the unknown key Z into a second e.
    const at = frame.lastIndexOf('Z');
    if (at > 0) frame[at] = 'e'.charCodeAt(0);
    return scanSendRequest(frame, 0, frame.length, view);
  };
  expect(scan(ext)).toBe(true);
  expect(scan({ ...ext, Z: '2' })).toBe(false);
});

const pullRequest = fc
  .record({
    code: fc.constantFrom(11, 361),
    opaque: int32,
    oneway: fc.constant(false),
    body: fc.constant(new Uint8Array(0)),
    ext: fc.record(
      {
        consumerGroup: plain,
        topic: plain,
        queueId: fc.nat(100),
        queueOffset: fc.nat(2 ** 40),
        maxMsgNums: fc.nat(64),
        sysFlag: fc.nat(31),
        commitOffset: fc.integer({ min: -1, max: 2 ** 40 }),
        suspendTimeoutMillis: fc.nat(30_000),
        subVersion: fc.nat(2 ** 43),
        subscription: plain,
        expressionType: fc.constantFrom('TAG', 'SQL92'),
        maxMsgBytes: fc.nat(1 << 20),
        bname: plain,
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
    ),
  })
  .map((request) => request as typeof request & { ext: Ext });

function expectSamePull(chunk: Buffer, view: PullRequestView, command: RemotingCommand): void {
  const { ext } = command;
  expect(view.code).toBe(command.code);
  expect(view.opaque).toBe(command.opaque);
  expect(text(chunk, view.groupStart, view.groupLength)).toBe(ext['consumerGroup']);
  expect(text(chunk, view.topicStart, view.topicLength)).toBe(ext['topic']);
  expect(view.queueId).toBe(Number(ext['queueId']));
  expect(view.queueOffset).toBe(Number(ext['queueOffset']));
  expect(view.maxMsgNums).toBe(Number(ext['maxMsgNums']));
  expect(view.sysFlag).toBe(Number(ext['sysFlag']));
  expect(view.commitOffset).toBe(Number(ext['commitOffset']));
  expect(view.suspendTimeoutMs).toBe(Number(ext['suspendTimeoutMillis']));
  expect(view.subVersion).toBe(Number(ext['subVersion']));
  expect(view.maxMsgBytes).toBe(Number(ext['maxMsgBytes'] ?? -1));
  const optional = (start: number, length: number): string | undefined =>
    start < 0 ? undefined : text(chunk, start, length);
  expect(optional(view.subscriptionStart, view.subscriptionLength)).toBe(ext['subscription']);
  expect(optional(view.expressionTypeStart, view.expressionTypeLength)).toBe(ext['expressionType']);
}

describe('pull scanner', () => {
  const view = new PullRequestView();

  test('takes every frame that clients write and agrees with the generic decoder', () => {
    fc.assert(
      fc.property(pullRequest, styles, (request, style) => {
        const frame = frameOf(request, style);
        expect(scanPullRequest(frame, 0, frame.length, view)).toBe(true);
        expectSamePull(frame, view, decodeCommand(frame, 0, frame.length));
      }),
      { numRuns: 300 },
    );
  });

  test('never takes a damaged frame that the generic decoder reads differently', () => {
    fc.assert(
      fc.property(pullRequest, styles, fc.oneof(mutation, jsonMutation), (request, style, by) => {
        const frame = mutate(frameOf(request, style), by);
        if (!scanPullRequest(frame, 0, frame.length, view)) return;
        expectSamePull(frame, view, decodeCommand(frame, 0, frame.length));
      }),
      { numRuns: 3000 },
    );
  });
});
