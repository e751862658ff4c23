// One hostile frame out of a good one. Kinds: bytes flipped anywhere, header fields replaced, dropped,
// added by the hundred; bodies cut, swapped, turned into JSON bombs; lengths that lie; codes, flags and
// versions of other requests. Deterministic by the generator it is given.
import { encodeCommand, encodeRequest, RequestCode } from '../../../core-broker/protocol/index.ts';
import type { Seed } from './corpus.ts';
import type { Rng } from './rng.ts';

const CODES = Object.values(RequestCode);
const VALUES = [
  '',
  ' ',
  '0',
  '-1',
  '1',
  '2147483647',
  '2147483648',
  '-2147483649',
  '9223372036854775807',
  '9223372036854775808',
  '-9223372036854775808',
  '1e309',
  'NaN',
  'true',
  'null',
  '__proto__',
  'constructor',
  'toString',
  '../../x',
  'a/b',
  'a\u0000b',
  '%RETRY%../x',
  '%DLQ%fuzz-group',
  'SCHEDULE_TOPIC_XXXX',
  'RMQ_SYS_TRANS_HALF_TOPIC',
  'TBW102',
  '\ud83d\ude00'.repeat(40),
  'x'.repeat(300),
  'k\u0001v\u0002'.repeat(50),
  'TAGA || TAGB',
  'a > 1 AND (b IS NULL OR c IN (1,2))',
  '('.repeat(200),
  '[1,2',
  '{"a":{"a":{"a":1}}}',
];
const BOMBS = [
  '['.repeat(60_000),
  '{"a":'.repeat(20_000),
  `{"n":${'9'.repeat(5_000)}}`,
  `{${'"a":1,'.repeat(2_000)}"a":2}`,
  `["${'\\u0000'.repeat(3_000)}"]`,
  '{"__proto__":{"x":1},"constructor":{"prototype":{"x":1}}}',
  '{"table":null,"topicConfigTable":[],"mqSet":{"0":1},"consumerDataSet":"x"}',
  '{1:2,{"topic":"a","queueId":0}:3}',
  '{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"t"}:1e400}}',
  '"',
  '-',
  'nul',
];

type Mutate = (seed: Seed, rng: Rng) => Buffer;

const flipped: Mutate = ({ frame }, rng) => {
  const bytes = Buffer.from(frame);
  for (let left = 1 + rng.below(8); left > 0; left--) {
    // Half of the flips in the first bytes: lengths, header type, code.
    const at = rng.oneIn(2) ? rng.below(Math.min(40, bytes.length)) : rng.below(bytes.length);
    if (at >= 4 || rng.oneIn(8)) bytes[at] = rng.below(256);
  }
  return bytes;
};

const otherFields: Mutate = ({ command }, rng) => {
  const ext: Record<string, string> = { ...command.ext };
  const names = Object.keys(ext);
  for (let left = 1 + rng.below(3); left > 0; left--) {
    const name = names.length > 0 ? rng.pick(names) : 'topic';
    if (rng.oneIn(4)) delete ext[name];
    else ext[name] = rng.pick(VALUES);
  }
  if (rng.oneIn(500)) for (let i = 0; i < 3_000; i++) ext[`k${i}`] = 'v';
  if (rng.oneIn(20)) Object.defineProperty(ext, '__proto__', { value: 'x', enumerable: true });
  return encodeCommand(
    { ...command, ext },
    command.code <= 0x7fff && rng.oneIn(4) ? 'ROCKETMQ' : 'JSON',
  );
};

/** Every name in the request is the same odd one: it reaches tables by all its ways at once. */
const oneName: Mutate = ({ command }, rng) => {
  const ext: Record<string, string> = { ...command.ext };
  const name = rng.pick(VALUES);
  for (const key of Object.keys(ext)) {
    if (/topic|group|name|addr|key|client|namespace/i.test(key)) ext[key] = name;
  }
  return encodeCommand({ ...command, ext });
};

const otherKind: Mutate = ({ command }, rng) => {
  const code = rng.oneIn(8) ? rng.below(40_000) : rng.pick(CODES);
  const flag = rng.pick([0, 0, 0, 0, 1, 2, 3, 7, -1]);
  return encodeCommand({
    ...command,
    code,
    flag,
    version: rng.pick([0, 1, 355, 400, 401, 437, 500, 32_767]),
    language: rng.pick(['JAVA', 'GO', 'OTHER', '', '\u0000', 'KLINGON']),
  });
};

const otherBody: Mutate = ({ command }, rng) => {
  const { body } = command;
  const kind = rng.below(5);
  if (kind === 0) return encodeCommand({ ...command, body: undefined });
  if (kind === 1) return encodeCommand({ ...command, body: randomBytes(rng, 1 + rng.below(400)) });
  if (kind === 2 && body && body.length > 0) {
    return encodeCommand({ ...command, body: body.subarray(0, rng.below(body.length)) });
  }
  if (kind === 3 && body && body.length > 0) {
    const broken = Buffer.from(body);
    for (let left = 1 + rng.below(6); left > 0; left--)
      broken[rng.below(body.length)] = rng.below(256);
    return encodeCommand({ ...command, body: broken });
  }
  // Why rarely the long ones: they cost a hundred times a plain frame.
  const bomb = rng.oneIn(20) ? rng.pick(BOMBS) : rng.pick(BOMBS.slice(5));
  return encodeCommand({ ...command, body: Buffer.from(bomb) });
};

const lying: Mutate = ({ frame }, rng) => {
  const bytes = Buffer.from(frame);
  const lies = [0, 1, 3, 4, 5, bytes.length, bytes.length * 2, 0xff_ffff, 0x7fff_ffff];
  const kind = rng.below(4);
  if (kind === 0) bytes.writeInt32BE(rng.pick(lies), 0);
  else if (kind === 1) bytes.writeUIntBE(rng.pick(lies) & 0xff_ffff, 5, 3);
  else if (kind === 2) bytes[4] = rng.below(4);
  else bytes.writeInt32BE(-rng.below(1 << 30), 0);
  return bytes;
};

const cut: Mutate = ({ frame }, rng) => {
  const bytes = Buffer.from(frame.subarray(0, 8 + rng.below(Math.max(1, frame.length - 8))));
  if (!rng.oneIn(4)) bytes.writeInt32BE(bytes.length - 4, 0);
  return bytes;
};

/** A header that is JSON but not what a header is. */
const oddHeader: Mutate = ({ command }, rng) => {
  const headers = [
    `{"code":${command.code},"extFields":null,"flag":0,"opaque":7}`,
    `{"code":"${command.code}","extFields":[1,2],"flag":"0","opaque":"7"}`,
    `{"code":${command.code},"extFields":{"topic":1,"queueId":{},"offset":[],"key":null}}`,
    `{"code":${command.code},"opaque":1e99,"flag":1.5,"extFields":{"topic":true}}`,
    `{"code":{},"opaque":[]}`,
    `[${command.code}]`,
    `{"code":${command.code},"code":103,"extFields":{"topic":"a","topic":"b"}}`,
    `{"code":${command.code},"extFields":{"a":${'['.repeat(500)}`,
    '',
  ];
  const header = Buffer.from(rng.pick(headers));
  const bytes = Buffer.alloc(8 + header.length);
  bytes.writeInt32BE(4 + header.length, 0);
  bytes.writeInt32BE(header.length, 4);
  header.copy(bytes, 8);
  return bytes;
};

const randomBytes = (rng: Rng, length: number): Buffer => {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i++) bytes[i] = rng.below(256);
  return bytes;
};

const untouched: Mutate = ({ command }) => encodeRequest(command as never, 5);

const KINDS: Mutate[] = [
  flipped,
  flipped,
  flipped,
  otherFields,
  otherFields,
  otherFields,
  otherFields,
  oneName,
  otherKind,
  otherBody,
  otherBody,
  lying,
  cut,
  oddHeader,
  untouched,
];

export const mutated = (seed: Seed, rng: Rng): Buffer => rng.pick(KINDS)(seed, rng);
