// Reads one commit-log record in place, for scans of archived and restored logs. Pure.
// Layout (big-endian; h = 4 or 16 bytes per host, by sysFlag):
//   0 size | 4 magic | 8 bodyCRC | 12 queueId | 16 flag | 20 queueOffset 8 | 28 physicalOffset 8
//   36 sysFlag | 40 bornTimestamp 8 | 48 bornHost h+4 | storeTimestamp 8 | storeHost h+4
//   reconsumeTimes 4 | preparedTransactionOffset 8 | body 4+n | topic 1+n (V2: 2+n) | properties 2+n
// Invariant: a record is valid only if its parts add up to its size, the body's CRC matches and it says
// the physical offset it stands at (recycled files hold old records that look valid otherwise).
// Source: Apache RocketMQ CommitLog.checkMessageAndReturnSize, behaviour only.
import { bodyCrc } from '../../core-broker/protocol/message/crc32.ts';

const MAGIC_V1 = 0xdaa320a7 | 0;
const MAGIC_V2 = 0xdaa320ab | 0;
const MAGIC_BLANK = 0xcbd43194 | 0;
const FIXED_BYTES_MIN = 91;
/** Bytes of a record that hold its size, magic and physical offset. */
export const RECORD_HEAD_BYTES = 36;
/** Blank marker at the end of a rolled file: size and magic. */
export const BLANK_BYTES = 8;
/** Body 4 MiB plus properties and header, with room for stores that raised maxMessageSize. */
export const RECORD_BYTES_MAX = 64 * 1024 * 1024;

export type RecordKind =
  /** A whole valid record. */
  | 'record'
  /** The file was rolled here; the log goes on in the next file. */
  | 'blank'
  /** More bytes are needed to decide. */
  | 'short'
  /** Zero bytes: nothing was ever written here. */
  | 'zero'
  /** Bytes that are no valid record. */
  | 'invalid';

/** Where the parts of a record are. One reused object per scan. */
export interface RecordView {
  kind: RecordKind;
  sizeBytes: number;
  queueId: number;
  queueOffset: number;
  sysFlag: number;
  storeTimestampMs: number;
  topicStart: number;
  topicLength: number;
  propertiesStart: number;
  propertiesLength: number;
}

export const emptyView = (): RecordView => ({
  kind: 'zero',
  sizeBytes: 0,
  queueId: 0,
  queueOffset: 0,
  sysFlag: 0,
  storeTimestampMs: 0,
  topicStart: 0,
  topicLength: 0,
  propertiesStart: 0,
  propertiesLength: 0,
});

export interface RecordPlace {
  bytes: Buffer;
  at: number;
  end: number;
  physicalOffset: number;
  /** False: the structure alone, several times faster. */
  checkBody?: boolean;
}

/** Judges the bytes at `place`; fills `view`. Allocates nothing. */
export function readRecord(place: RecordPlace, view: RecordView): RecordKind {
  view.kind = judge(place, view);
  return view.kind;
}

function judge(place: RecordPlace, view: RecordView): RecordKind {
  const { bytes, at, end } = place;
  if (end - at < BLANK_BYTES) return 'short';
  const size = bytes.readInt32BE(at);
  const magic = bytes.readInt32BE(at + 4);
  view.sizeBytes = size;
  if (size === 0 && magic === 0) return 'zero';
  if (magic === MAGIC_BLANK) return size >= BLANK_BYTES ? 'blank' : 'invalid';
  if (magic !== MAGIC_V1 && magic !== MAGIC_V2) return 'invalid';
  if (size < FIXED_BYTES_MIN || size > RECORD_BYTES_MAX) return 'invalid';
  if (end - at < size) return 'short';
  if (readLong(bytes, at + 28) !== place.physicalOffset) return 'invalid';
  return readParts(place, view, magic === MAGIC_V2 ? 2 : 1) ? 'record' : 'invalid';
}

function readParts(place: RecordPlace, view: RecordView, topicLengthBytes: number): boolean {
  const { bytes, at } = place;
  const limit = at + view.sizeBytes;
  view.queueId = bytes.readInt32BE(at + 12);
  view.queueOffset = readLong(bytes, at + 20);
  view.sysFlag = bytes.readInt32BE(at + 36);
  const bornBytes = view.sysFlag & 0x10 ? 20 : 8;
  const storeBytes = view.sysFlag & 0x20 ? 20 : 8;
  view.storeTimestampMs = readLong(bytes, at + 48 + bornBytes);
  const bodyAt = at + 68 + bornBytes + storeBytes;
  if (bodyAt + 4 > limit) return false;
  const bodyLength = bytes.readInt32BE(bodyAt);
  const topicAt = bodyAt + 4 + bodyLength;
  if (bodyLength < 0 || topicAt + topicLengthBytes > limit) return false;
  view.topicLength = topicLengthBytes === 1 ? bytes.readUInt8(topicAt) : bytes.readInt16BE(topicAt);
  view.topicStart = topicAt + topicLengthBytes;
  const propertiesAt = view.topicStart + view.topicLength;
  if (view.topicLength < 0 || propertiesAt + 2 > limit) return false;
  view.propertiesLength = bytes.readInt16BE(propertiesAt);
  view.propertiesStart = propertiesAt + 2;
  if (view.propertiesStart + view.propertiesLength !== limit) return false;
  return bodyMatches(place, bodyAt + 4, bodyLength);
}

function bodyMatches(place: RecordPlace, start: number, length: number): boolean {
  if (length === 0 || place.checkBody === false) return true;
  return bodyCrc(place.bytes, start, start + length) === place.bytes.readInt32BE(place.at + 8);
}

/** 64-bit big-endian as a number; exact below 2^53. */
export function readLong(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * 0x1_0000_0000 + bytes.readUInt32BE(at + 4);
}

/** PREPARED and ROLLBACK records stand in the log but in no queue. */
export const isInQueue = (sysFlag: number): boolean => {
  const transaction = sysFlag & 0xc;
  return transaction !== 0x4 && transaction !== 0xc;
};

/** One property out of the record's text (key 0x01 value 0x02 ...), or undefined. */
export function propertyOf(bytes: Buffer, view: RecordView, key: string): string | undefined {
  const text = bytes.toString(
    'utf8',
    view.propertiesStart,
    view.propertiesStart + view.propertiesLength,
  );
  for (const pair of text.split('\u0002')) {
    const split = pair.indexOf('\u0001');
    if (split >= 0 && pair.slice(0, split) === key) return pair.slice(split + 1);
  }
  return undefined;
}
