// Reads one commit-log record in place: integer positions into somebody else's buffer, no strings,
// no slices. One RecordCursor is reused for a whole walk; words are read through a DataView, which is
// kept for the buffer used last because a walk stays in one buffer.
// Layout: docs of the record in protocol (message record); all integers big-endian.
//
//   0 size  4 magic  8 bodyCRC  12 queueId  16 flag  20 queueOffset  28 physicalOffset  36 sysFlag
//   40 bornTimestamp  48 bornHost 8|20  .. storeTimestamp 8  .. storeHost 8|20  .. reconsumeTimes 4
//   .. preparedTransactionOffset 8  .. bodyLength 4 + body  .. topicLength 1|2 + topic
//   .. propertiesLength 2 + properties
import {
  BLANK_MAGIC,
  bodyCrcInView,
  RECORD_MAGIC_V1,
  RECORD_MAGIC_V2,
  SysFlag,
  WordViews,
} from '../../protocol/index.ts';
import { recordCrcMatches } from './checksum/record-crc.ts';

/** Transaction type in sysFlag; these two have no consume queue entry. */
export const isOutsideQueues = (sysFlag: number): boolean => {
  const type = sysFlag & SysFlag.TRANSACTION_ROLLBACK;
  return type === SysFlag.TRANSACTION_PREPARED || type === SysFlag.TRANSACTION_ROLLBACK;
};

const RECORD_BYTES_MIN = 91;
const WORD = 0x1_0000_0000;

const views = new WordViews();

/** View of all of `buf`; cheap when asked again for the same buffer. */
export const viewOf = (buf: Buffer): DataView => views.of(buf);

/** What stands at a position: a whole record, an end marker, less than a whole one, or no record. */
export type RecordKind = 'record' | 'blank' | 'partial' | 'bad';

export const int32At = (buf: Uint8Array, at: number): number =>
  (buf[at]! << 24) | (buf[at + 1]! << 16) | (buf[at + 2]! << 8) | buf[at + 3]!;

/** A 64-bit integer that is below 2^53; larger ones lose precision and fail the later checks. */
export const int64At = (buf: Uint8Array, at: number): number =>
  int32At(buf, at) * WORD + (int32At(buf, at + 4) >>> 0);

/** What tells one record of a log from another at the same place. */
export interface RecordPlace {
  size: number;
  queueOffset: number;
  physicalOffset: number;
}

/** True when the record at `at` has that size and those offsets; the low words of the offsets are compared. */
export const isRecordAt = (view: DataView, at: number, of: RecordPlace): boolean =>
  view.getInt32(at) === of.size &&
  view.getInt32(at + 24) === (of.queueOffset | 0) &&
  view.getInt32(at + 32) === (of.physicalOffset | 0);

/** Cheaper than Buffer.writeInt32BE, which checks ranges for every value. */
export function writeInt32(buf: Uint8Array, at: number, value: number): void {
  buf[at] = value >>> 24;
  buf[at + 1] = value >>> 16;
  buf[at + 2] = value >>> 8;
  buf[at + 3] = value;
}

/** What can be wrong where a record must stand; its index is what threads tell each other. */
export const DAMAGE = [
  'no valid record',
  'another position inside',
  'body CRC differs',
  'impossible topic',
  'record CRC differs',
] as const;

/** Positions are absolute in the buffer given to `read`. */
export class RecordCursor {
  readonly #comparesRecordCrc: boolean;
  at = 0;
  size = 0;
  bodyStart = 0;
  bodyLength = 0;
  topicStart = 0;
  topicLength = 0;
  propertiesStart = 0;
  propertiesLength = 0;
  bodyCrc = 0;
  queueId = 0;
  queueOffset = 0;
  physicalOffset = 0;
  sysFlag = 0;
  storeTimestampMs = 0;

  /** @param comparesRecordCrc  also the checksum in the properties (forceVerifyPropCRC) */
  constructor(comparesRecordCrc = false) {
    this.#comparesRecordCrc = comparesRecordCrc;
  }

  /**
   * Looks at `at`; only for 'record' all fields are set, for 'blank' only size.
   * @param end       end of the known bytes in buf
   * @param fileLeft  bytes from the record's start to the end of its commit-log file
   */
  read(buf: Buffer, at: number, end: number, fileLeft: number): RecordKind {
    this.at = at;
    if (end - at < 8) return fileLeft < 8 ? 'bad' : 'partial';
    const words = viewOf(buf);
    const size = words.getInt32(at);
    const magic = words.getInt32(at + 4);
    this.size = size;
    if (magic === BLANK_MAGIC) return size === fileLeft ? 'blank' : 'bad';
    if (magic !== RECORD_MAGIC_V1 && magic !== RECORD_MAGIC_V2) return 'bad';
    if (size < RECORD_BYTES_MIN || size > fileLeft) return 'bad';
    if (end - at < size) return 'partial';
    return this.#readWhole(words, magic === RECORD_MAGIC_V2) ? 'record' : 'bad';
  }

  /** True when nothing contradicts the record's checksums. */
  isSound(buf: Buffer): boolean {
    return this.#bodyMatches(buf) && this.#recordMatches(buf);
  }

  /** An empty body has no CRC (as Apache reads it). */
  #bodyMatches(buf: Buffer): boolean {
    const { bodyStart, bodyLength } = this;
    if (bodyLength === 0) return true;
    return bodyCrcInView(viewOf(buf), bodyStart, bodyStart + bodyLength) === this.bodyCrc;
  }

  /** What is wrong with the record that must stand at `offset`: index into DAMAGE, 0 = nothing. */
  damageAt(buf: Buffer, offset: number): number {
    if (this.physicalOffset !== offset) return 1;
    if (!this.#bodyMatches(buf)) return 2;
    return this.#recordMatches(buf) ? 0 : 4;
  }

  #recordMatches(buf: Buffer): boolean {
    if (!this.#comparesRecordCrc) return true;
    return recordCrcMatches(buf, viewOf(buf), this.at, this.at + this.size);
  }

  /** True when the properties end with a zero byte, which no text of RocketMQ does. */
  endsInZeros(buf: Buffer): boolean {
    return this.propertiesLength > 0 && buf[this.at + this.size - 1] === 0;
  }

  #readWhole(words: DataView, isV2: boolean): boolean {
    const at = this.at;
    const end = at + this.size;
    this.bodyCrc = words.getInt32(at + 8);
    this.queueId = words.getInt32(at + 12);
    this.queueOffset = words.getInt32(at + 20) * WORD + words.getUint32(at + 24);
    this.physicalOffset = words.getInt32(at + 28) * WORD + words.getUint32(at + 32);
    const flags = words.getInt32(at + 36);
    this.sysFlag = flags;
    let next = at + 48 + (flags & SysFlag.BORN_HOST_V6 ? 20 : 8);
    this.storeTimestampMs = words.getInt32(next) * WORD + words.getUint32(next + 4);
    next += 8 + (flags & SysFlag.STORE_HOST_V6 ? 20 : 8) + 12;
    if (next + 4 > end) return false;
    const bodyLength = words.getInt32(next);
    this.bodyLength = bodyLength;
    this.bodyStart = next + 4;
    next += 4 + bodyLength;
    if (bodyLength < 0 || next + 3 > end) return false;
    const topicLength = isV2 ? words.getUint16(next) : words.getUint8(next);
    this.topicLength = topicLength;
    this.topicStart = next + (isV2 ? 2 : 1);
    next = this.topicStart + topicLength;
    if (next + 2 > end) return false;
    this.propertiesLength = words.getUint16(next);
    this.propertiesStart = next + 2;
    // Why the last byte: no checksum covers the topic; a torn write leaves zeros at its end.
    if (topicLength === 0 || words.getUint8(next - 1) === 0) return false;
    return this.propertiesStart + this.propertiesLength === end;
  }
}
