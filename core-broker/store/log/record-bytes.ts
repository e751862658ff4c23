// Reads one commit-log record in place: integer positions into somebody else's buffer, no strings,
// no slices. One RecordCursor is reused for a whole walk.
// Layout: docs of the record in protocol (message record); all integers big-endian.
//
//   0 size  4 magic  8 bodyCRC  12 queueId  16 flag  20 queueOffset  28 physicalOffset  36 sysFlag
//   40 bornTimestamp  48 bornHost 8|20  .. storeTimestamp 8  .. storeHost 8|20  .. reconsumeTimes 4
//   .. preparedTransactionOffset 8  .. bodyLength 4 + body  .. topicLength 1|2 + topic
//   .. propertiesLength 2 + properties
import {
  BLANK_MAGIC,
  bodyCrc,
  RECORD_MAGIC_V1,
  RECORD_MAGIC_V2,
  SysFlag,
} from '../../protocol/index.ts';

/** Transaction type in sysFlag; these two have no consume queue entry. */
export const isOutsideQueues = (sysFlag: number): boolean => {
  const type = sysFlag & SysFlag.TRANSACTION_ROLLBACK;
  return type === SysFlag.TRANSACTION_PREPARED || type === SysFlag.TRANSACTION_ROLLBACK;
};

const RECORD_BYTES_MIN = 91;

/** What stands at a position: a whole record, an end marker, less than a whole one, or no record. */
export type RecordKind = 'record' | 'blank' | 'partial' | 'bad';

export const int32At = (buf: Uint8Array, at: number): number =>
  (buf[at]! << 24) | (buf[at + 1]! << 16) | (buf[at + 2]! << 8) | buf[at + 3]!;

/** A 64-bit integer that is below 2^53; larger ones lose precision and fail the later checks. */
export const int64At = (buf: Uint8Array, at: number): number =>
  int32At(buf, at) * 4294967296 + (int32At(buf, at + 4) >>> 0);

/** Cheaper than Buffer.writeInt32BE, which checks ranges for every value. */
export function writeInt32(buf: Uint8Array, at: number, value: number): void {
  buf[at] = value >>> 24;
  buf[at + 1] = value >>> 16;
  buf[at + 2] = value >>> 8;
  buf[at + 3] = value;
}

/** Positions are absolute in the buffer given to `read`. */
export class RecordCursor {
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

  /**
   * Looks at `at`; only for 'record' all fields are set, for 'blank' only size.
   * @param end       end of the known bytes in buf
   * @param fileLeft  bytes from the record's start to the end of its commit-log file
   */
  read(buf: Uint8Array, at: number, end: number, fileLeft: number): RecordKind {
    this.at = at;
    if (end - at < 8) return fileLeft < 8 ? 'bad' : 'partial';
    const size = int32At(buf, at);
    const magic = int32At(buf, at + 4);
    this.size = size;
    if (magic === BLANK_MAGIC) return size === fileLeft ? 'blank' : 'bad';
    if (magic !== RECORD_MAGIC_V1 && magic !== RECORD_MAGIC_V2) return 'bad';
    if (size < RECORD_BYTES_MIN || size > fileLeft) return 'bad';
    if (end - at < size) return 'partial';
    return this.#readWhole(buf, magic === RECORD_MAGIC_V2) ? 'record' : 'bad';
  }

  /** True when the body matches its CRC; an empty body has none (as Apache reads it). */
  bodyMatches(buf: Buffer): boolean {
    if (this.bodyLength === 0) return true;
    return bodyCrc(buf, this.bodyStart, this.bodyStart + this.bodyLength) === this.bodyCrc;
  }

  /** True when the properties end with a zero byte, which no text of RocketMQ does. */
  endsInZeros(buf: Uint8Array): boolean {
    return this.propertiesLength > 0 && buf[this.at + this.size - 1] === 0;
  }

  #readWhole(buf: Uint8Array, isV2: boolean): boolean {
    const at = this.at;
    const end = at + this.size;
    this.bodyCrc = int32At(buf, at + 8);
    this.queueId = int32At(buf, at + 12);
    this.queueOffset = int64At(buf, at + 20);
    this.physicalOffset = int64At(buf, at + 28);
    this.sysFlag = int32At(buf, at + 36);
    let next = at + 48 + (this.sysFlag & SysFlag.BORN_HOST_V6 ? 20 : 8);
    this.storeTimestampMs = int64At(buf, next);
    next += 8 + (this.sysFlag & SysFlag.STORE_HOST_V6 ? 20 : 8) + 12;
    if (next + 4 > end) return false;
    this.bodyLength = int32At(buf, next);
    this.bodyStart = next + 4;
    next = this.bodyStart + this.bodyLength;
    if (this.bodyLength < 0 || next + 3 > end) return false;
    this.topicLength = isV2 ? (buf[next]! << 8) | buf[next + 1]! : buf[next]!;
    this.topicStart = next + (isV2 ? 2 : 1);
    next = this.topicStart + this.topicLength;
    if (next + 2 > end) return false;
    this.propertiesLength = (buf[next]! << 8) | buf[next + 1]!;
    this.propertiesStart = next + 2;
    // Why the last byte: no checksum covers the topic; a torn write leaves zeros at its end.
    if (this.topicLength === 0 || buf[this.topicStart + this.topicLength - 1] === 0) return false;
    return this.propertiesStart + this.propertiesLength === end;
  }
}
