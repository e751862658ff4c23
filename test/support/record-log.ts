// Makes commit-log bytes: real records with increasing offsets, cut into files with blanks at their
// ends, as a broker writes them. For link, backup and store tests that need a log without a broker.
import { BLANK_MAGIC, encodeHost, encodeRecord } from '../../core-broker/protocol/index.ts';

const HOST = encodeHost('127.0.0.1', 10911);

export interface LogMaker {
  /** All bytes so far, starting at `startOffset`. */
  readonly bytes: Buffer;
  readonly startOffset: number;
  readonly end: number;
  /** Offsets of the records, blanks left out. */
  readonly records: number[];
  /** Appends one record and returns its offset. @param extraMs moves its store time, nothing else */
  append(bodyBytes: number, extraMs?: number): number;
}

/** @param fileBytes size of a commit-log file; records never cross it */
export function recordLog({ startOffset = 0, fileBytes = 64 * 1024, seed = 'a' } = {}): LogMaker {
  const parts: Buffer[] = [];
  const records: number[] = [];
  let end = startOffset;
  const push = (bytes: Buffer): void => {
    parts.push(bytes);
    end += bytes.length;
  };
  const blank = (left: number): void => {
    const bytes = Buffer.alloc(left);
    bytes.writeInt32BE(left, 0);
    bytes.writeInt32BE(BLANK_MAGIC, 4);
    push(bytes);
  };
  const make = (bodyBytes: number, extraMs: number): Buffer =>
    encodeRecord({
      queueId: records.length % 4,
      flag: 0,
      queueOffset: Math.floor(records.length / 4),
      physicalOffset: end,
      sysFlag: 0,
      bornTimestampMs: 1_700_000_000_000,
      bornHost: HOST,
      storeTimestampMs: 1_700_000_000_000 + records.length + extraMs,
      storeHost: HOST,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body: Buffer.alloc(bodyBytes, `${seed}${records.length};`),
      topic: 'orders',
      properties: 'KEYS\u0001k\u0002',
    });
  return {
    startOffset,
    records,
    get bytes() {
      if (parts.length > 1) parts.splice(0, parts.length, Buffer.concat(parts));
      return parts[0] ?? Buffer.alloc(0);
    },
    get end() {
      return end;
    },
    append(bodyBytes, extraMs = 0) {
      const left = fileBytes - (end % fileBytes);
      // RocketMQ keeps 8 bytes for the blank's header at the end of a file.
      if (make(bodyBytes, 0).length + 8 > left) blank(left);
      const offset = end;
      push(make(bodyBytes, extraMs));
      records.push(offset);
      return offset;
    },
  };
}
