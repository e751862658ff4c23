// The message record: identical in the commit log, in pull answers and in view/query answers.
// All integers big-endian.
//    0 totalSize 4 | 4 magic 4 | 8 bodyCRC 4 | 12 queueId 4 | 16 flag 4 | 20 queueOffset 8
//   28 physicalOffset 8 | 36 sysFlag 4 | 40 bornTimestamp 8 | 48 bornHost 8 or 20
//   then storeTimestamp 8 | storeHost 8 or 20 | reconsumeTimes 4 | preparedTransactionOffset 8
//   then bodyLength 4, body | topicLength 1 (V1) or 2 (V2), topic | propertiesLength 2, properties
// Host width is 20 when the sysFlag says IPv6. V2 is used only for topics above 127 bytes.
// This is the generic codec; the store's append writes the same bytes straight into its ring.
// Source: MessageDecoder, CommitLog.MessageExtEncoder.
import { DrError } from '../../base/index.ts';
import { SysFlag } from '../constants.ts';
import { bodyCrc } from './crc32.ts';
import { readInt64, writeInt64 } from './int64.ts';

export const RECORD_MAGIC_V1 = 0xdaa320a7 | 0;
export const RECORD_MAGIC_V2 = 0xdaa320ab | 0;
/** Magic of the blank that fills the end of a commit-log file. */
export const BLANK_MAGIC = 0xcbd43194 | 0;

/** Positions that do not depend on host widths. */
export const RecordOffset = {
  TOTAL_SIZE: 0,
  MAGIC: 4,
  BODY_CRC: 8,
  QUEUE_ID: 12,
  FLAG: 16,
  QUEUE_OFFSET: 20,
  PHYSICAL_OFFSET: 28,
  SYS_FLAG: 36,
  BORN_TIMESTAMP: 40,
  BORN_HOST: 48,
} as const;

/** Bytes of a V1 record with IPv4 hosts and no body, topic or properties. */
export const RECORD_FIXED_BYTES = 91;

export interface MessageRecord {
  queueId: number;
  flag: number;
  queueOffset: number;
  physicalOffset: number;
  sysFlag: number;
  bornTimestampMs: number;
  /** Record form, 8 or 20 bytes; width must fit sysFlag. */
  bornHost: Buffer;
  storeTimestampMs: number;
  storeHost: Buffer;
  reconsumeTimes: number;
  preparedTransactionOffset: number;
  body: Buffer;
  topic: string;
  /** Text as stored. */
  properties: string;
}

export interface DecodedRecord extends MessageRecord {
  sizeBytes: number;
  magic: number;
  bodyCrc: number;
}

/** Encodes a record. @throws DrError USAGE when a field does not fit */
export function encodeRecord(record: MessageRecord): Buffer {
  const topic = Buffer.from(record.topic);
  const properties = Buffer.from(record.properties);
  if (topic.length > 0x7fff || properties.length > 0x7fff) {
    throw new DrError('USAGE', 'topic or properties are above 32767 bytes');
  }
  const isV2 = topic.length > 127;
  const hosts = record.bornHost.length + record.storeHost.length - 16;
  const variable = record.body.length + topic.length + properties.length;
  const size = RECORD_FIXED_BYTES + hosts + (isV2 ? 1 : 0) + variable;
  const out = Buffer.allocUnsafe(size);
  out.writeInt32BE(size, 0);
  out.writeInt32BE(isV2 ? RECORD_MAGIC_V2 : RECORD_MAGIC_V1, 4);
  out.writeInt32BE(bodyCrc(record.body), 8);
  out.writeInt32BE(record.queueId, 12);
  out.writeInt32BE(record.flag, 16);
  writeInt64(out, record.queueOffset, 20);
  writeInt64(out, record.physicalOffset, 28);
  out.writeInt32BE(hostFlags(record), 36);
  let at = writeInt64(out, record.bornTimestampMs, 40);
  at += record.bornHost.copy(out, at);
  at = writeInt64(out, record.storeTimestampMs, at);
  at += record.storeHost.copy(out, at);
  at = out.writeInt32BE(record.reconsumeTimes, at);
  at = writeInt64(out, record.preparedTransactionOffset, at);
  at = out.writeInt32BE(record.body.length, at);
  at += record.body.copy(out, at);
  at = isV2 ? out.writeInt16BE(topic.length, at) : out.writeUInt8(topic.length, at);
  at += topic.copy(out, at);
  at = out.writeInt16BE(properties.length, at);
  properties.copy(out, at);
  return out;
}

/** Invariant: the IPv6 bits always say what the host widths are. */
function hostFlags(record: MessageRecord): number {
  const plain = record.sysFlag & ~(SysFlag.BORN_HOST_V6 | SysFlag.STORE_HOST_V6);
  const born = record.bornHost.length > 8 ? SysFlag.BORN_HOST_V6 : 0;
  return plain | born | (record.storeHost.length > 8 ? SysFlag.STORE_HOST_V6 : 0);
}

/** Walks one record; every read is bounded by the record's own size and by the buffer. */
class Cursor {
  at: number;
  readonly end: number;
  readonly bytes: Buffer;

  constructor(bytes: Buffer, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  /** Claims `length` bytes and returns their start. */
  take(length: number): number {
    const start = this.at;
    if (length < 0 || length > this.end - start) throw corrupt('a length points outside', start);
    this.at = start + length;
    return start;
  }

  slice(length: number): Buffer {
    const start = this.take(length);
    return this.bytes.subarray(start, start + length);
  }

  int32(): number {
    return this.bytes.readInt32BE(this.take(4));
  }

  int64(): number {
    return readInt64(this.bytes, this.take(8));
  }
}

const corrupt = (problem: string, at: number): DrError =>
  new DrError('CORRUPT', `message record: ${problem}`, { context: { at } });

/**
 * Decodes the record at `start`; body and hosts are views of `bytes`.
 * @throws DrError CORRUPT when it is not a whole record or its body CRC is wrong
 */
export function decodeRecord(bytes: Buffer, start = 0): DecodedRecord {
  if (bytes.length - start < RECORD_FIXED_BYTES) throw corrupt('too short', start);
  const sizeBytes = bytes.readInt32BE(start);
  const magic = bytes.readInt32BE(start + 4);
  if (magic !== RECORD_MAGIC_V1 && magic !== RECORD_MAGIC_V2) throw corrupt('wrong magic', start);
  if (sizeBytes < RECORD_FIXED_BYTES || sizeBytes > bytes.length - start) {
    throw corrupt('wrong size', start);
  }
  const cursor = new Cursor(bytes, start + 8, start + sizeBytes);
  const storedCrc = cursor.int32();
  const record: DecodedRecord = {
    sizeBytes,
    magic,
    bodyCrc: storedCrc,
    ...decodeFixed(cursor),
    body: cursor.slice(cursor.int32()),
    topic: cursor.slice(topicLength(cursor, magic)).toString(),
    properties: cursor.slice(bytes.readInt16BE(cursor.take(2))).toString(),
  };
  if (cursor.at !== cursor.end) throw corrupt('size does not match its fields', start);
  if (bodyCrc(record.body) !== storedCrc) throw corrupt('body CRC is wrong', start);
  return record;
}

const topicLength = (cursor: Cursor, magic: number): number =>
  magic === RECORD_MAGIC_V2
    ? cursor.bytes.readInt16BE(cursor.take(2))
    : cursor.bytes.readUInt8(cursor.take(1));

function decodeFixed(cursor: Cursor): Omit<MessageRecord, 'body' | 'topic' | 'properties'> {
  const queueId = cursor.int32();
  const flag = cursor.int32();
  const queueOffset = cursor.int64();
  const physicalOffset = cursor.int64();
  const sysFlag = cursor.int32();
  const bornTimestampMs = cursor.int64();
  const bornHost = cursor.slice(sysFlag & SysFlag.BORN_HOST_V6 ? 20 : 8);
  const storeTimestampMs = cursor.int64();
  const storeHost = cursor.slice(sysFlag & SysFlag.STORE_HOST_V6 ? 20 : 8);
  return {
    queueId,
    flag,
    queueOffset,
    physicalOffset,
    sysFlag,
    bornTimestampMs,
    bornHost,
    storeTimestampMs,
    storeHost,
    reconsumeTimes: cursor.int32(),
    preparedTransactionOffset: cursor.int64(),
  };
}

/** All records of a pull, query or view body. @throws DrError CORRUPT */
export function decodeRecords(body: Buffer): DecodedRecord[] {
  const records: DecodedRecord[] = [];
  for (let at = 0; at < body.length; ) {
    const record = decodeRecord(body, at);
    records.push(record);
    at += record.sizeBytes;
  }
  return records;
}
