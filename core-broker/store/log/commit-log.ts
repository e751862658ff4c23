// Appends records to the log: assigns the physical offset and encodes straight into the ring.
// One tick, no allocation, no string, no BigInt. What reaches the disk is the writer's business.
// Invariant: every check that can refuse comes before the first change (queue counter, end).
// Source: RocketMQ CommitLog / MessageExtEncoder, behaviour only.
import { DrError, LIMITS } from '../../base/index.ts';
import {
  BLANK_MAGIC,
  bodyCrcInView,
  RangeCopier,
  RECORD_MAGIC_V1,
  RECORD_MAGIC_V2,
  SysFlag,
} from '../../protocol/index.ts';
import type { AppendResult, RecordSource } from '../door.ts';
import { END_MARKER_BYTES } from '../layout.ts';
import type { ConsumeQueue } from '../queue/consume-queue.ts';
import { RecordSealer } from './checksum/record-crc.ts';
import type { LogFiles } from './log-files.ts';
import type { LogState } from './log-state.ts';
import type { PendingDigests } from './pending-digests.ts';
import { isOutsideQueues } from './record-bytes.ts';
import type { Ring } from './ring.ts';

const WORD = 0x1_0000_0000;
/** Fixed part without hosts, body, topic, properties. */
const FIXED_BYTES = 75;
/** Longer topics need a length of two bytes: records of the second version. */
const SHORT_TOPIC_MAX = 127;

export interface CommitLogParts {
  ring: Ring;
  files: LogFiles;
  state: LogState;
  pending: PendingDigests;
}

export interface RecordLimits {
  maxMessageSizeBytes: number;
  storeHost: Buffer;
  appendsRecordCrc: boolean;
  takesLongTopics: boolean;
}

/** Bytes the ring needs behind its end: the largest record or end marker padding. */
export const largestRecordBytes = (maxMessageSizeBytes: number): number =>
  maxMessageSizeBytes + LIMITS.propertiesBytesMax + LIMITS.topicBytesMax + 128;

export class CommitLog {
  readonly #ring: Ring;
  readonly #files: LogFiles;
  readonly #state: LogState;
  readonly #pending: PendingDigests;
  readonly #limits: RecordLimits;
  readonly #storeHostFlag: number;
  readonly #sealer: RecordSealer | undefined;
  /** One each: bodies and properties lie in different buffers. */
  readonly #bodies: RangeCopier;
  readonly #properties: RangeCopier;
  readonly #result: AppendResult = {
    physicalOffset: 0,
    sizeBytes: 0,
    queueOffset: 0,
    storeTimestampMs: 0,
  };

  constructor(parts: CommitLogParts, limits: RecordLimits) {
    this.#ring = parts.ring;
    this.#files = parts.files;
    this.#state = parts.state;
    this.#pending = parts.pending;
    this.#limits = limits;
    this.#bodies = new RangeCopier(parts.ring.bytes);
    this.#properties = new RangeCopier(parts.ring.bytes);
    this.#sealer = limits.appendsRecordCrc ? new RecordSealer() : undefined;
    this.#storeHostFlag = limits.storeHost.length === 20 ? SysFlag.STORE_HOST_V6 : 0;
  }

  /**
   * Encodes one record at the end of the log and counts it in its queue.
   * @returns a reused object
   * @throws DrError DISK_FULL, BUSY, USAGE; nothing changed then
   */
  append(given: RecordSource, queue: ConsumeQueue): AppendResult {
    const state = this.#state;
    const record = this.#sealer === undefined ? given : this.#sealer.extended(given);
    state.checkWritable();
    const size = this.#sizeOf(record);
    const left = this.#files.leftAt(state.end);
    const skip = size + END_MARKER_BYTES > left ? left : 0;
    // Why dispatched, which follows `written` at once: what waits for a full disk of the queues is still
    // needed in the ring.
    if (state.end + skip + size - state.dispatched > LIMITS.unflushedBytesMax) {
      throw new DrError('BUSY', 'too many bytes wait for the disk');
    }
    if (skip > 0) this.#closeFile(skip);
    const result = this.#result;
    result.physicalOffset = state.end;
    result.sizeBytes = size;
    if (state.nowMs === 0) state.nowMs = Date.now();
    result.storeTimestampMs = state.nowMs;
    result.queueOffset = isOutsideQueues(record.sysFlag) ? 0 : queue.next++;
    const at = this.#ring.at(state.end);
    this.#encode(record, at);
    this.#sealer?.seal(this.#ring.view, at, size);
    this.#pending.note(record, result, at);
    this.#ring.wrap(at, size);
    state.end += size;
    return result;
  }

  #sizeOf(record: RecordSource): number {
    const { bodyLength, propertiesLength, bornHost } = record;
    const bodyMax = this.#limits.maxMessageSizeBytes;
    if (bodyLength > bodyMax || propertiesLength > LIMITS.propertiesBytesMax) {
      throw new DrError('USAGE', `message too large: body ${bodyLength}, max ${bodyMax} bytes`);
    }
    // Why: recovery takes a last record whose properties end with zero for a torn one.
    if (
      propertiesLength > 0 &&
      record.properties[record.propertiesStart + propertiesLength - 1] === 0
    ) {
      throw new DrError('USAGE', 'message properties end with a zero byte');
    }
    const topicLength = record.topic.bytes.length;
    if (topicLength > SHORT_TOPIC_MAX && !this.#limits.takesLongTopics) {
      throw new DrError('USAGE', `topic of ${topicLength} bytes; at most ${SHORT_TOPIC_MAX}`);
    }
    const size =
      FIXED_BYTES +
      bornHost.length +
      this.#limits.storeHost.length +
      bodyLength +
      (topicLength > SHORT_TOPIC_MAX ? topicLength + 1 : topicLength) +
      propertiesLength;
    if (size + END_MARKER_BYTES > this.#files.fileSize) {
      throw new DrError('USAGE', `message of ${size} bytes does not fit into a commit-log file`);
    }
    return size;
  }

  /** End marker: int32 bytes left, int32 blank magic, zeros up to the end of the file. */
  #closeFile(left: number): void {
    const { end } = this.#state;
    const at = this.#ring.at(end);
    this.#ring.zero(end, end + left);
    this.#ring.view.setInt32(at, left);
    this.#ring.view.setInt32(at + 4, BLANK_MAGIC);
    this.#ring.wrap(at, END_MARKER_BYTES);
    this.#state.end = end + left;
  }

  #encode(record: RecordSource, start: number): void {
    const { view } = this.#ring;
    const { queueOffset, physicalOffset, sizeBytes, storeTimestampMs } = this.#result;
    const { bornHost, body, bodyStart, bodyLength } = record;
    view.setInt32(start, sizeBytes);
    view.setInt32(start + 4, RECORD_MAGIC_V1);
    view.setInt32(start + 12, record.queueId);
    view.setInt32(start + 16, record.flag);
    this.#putLong(start + 20, queueOffset);
    this.#putLong(start + 28, physicalOffset);
    const hosts = (bornHost.length === 20 ? SysFlag.BORN_HOST_V6 : 0) | this.#storeHostFlag;
    const plain = record.sysFlag & ~(SysFlag.BORN_HOST_V6 | SysFlag.STORE_HOST_V6);
    view.setInt32(start + 36, plain | hosts);
    this.#putLong(start + 40, record.bornTimestampMs);
    let at = this.#put(start + 48, bornHost);
    this.#putLong(at, storeTimestampMs);
    const { storeHost } = this.#limits;
    at = this.#put(at + 8, storeHost);
    view.setInt32(at, record.reconsumeTimes);
    this.#putLong(at + 4, record.preparedTransactionOffset);
    view.setInt32(at + 12, bodyLength);
    const bodyAt = at + 16;
    at = this.#bodies.copy(bodyAt, body, bodyStart, bodyLength);
    // Why from the ring: its view is at hand, and reading words is cheaper than reading bytes.
    view.setInt32(start + 8, bodyCrcInView(view, bodyAt, at));
    const topic = record.topic.bytes;
    if (topic.length > SHORT_TOPIC_MAX) {
      view.setInt32(start + 4, RECORD_MAGIC_V2);
      view.setUint8(at++, 0);
    }
    // As the lower byte of two it is the same.
    view.setUint8(at, topic.length);
    at = this.#put(at + 1, topic);
    view.setInt16(at, record.propertiesLength);
    const { properties, propertiesStart, propertiesLength } = record;
    this.#properties.copy(at + 2, properties, propertiesStart, propertiesLength);
  }

  #putLong(at: number, value: number): void {
    const high = Math.floor(value / WORD);
    this.#ring.view.setInt32(at, high);
    this.#ring.view.setUint32(at + 4, value - high * WORD);
  }

  /** Hosts and topics: so short that a loop over bytes is best. */
  #put(at: number, from: Buffer): number {
    const { bytes } = this.#ring;
    for (let i = 0; i < from.length; i++) bytes[at + i] = from[i]!;
    return at + from.length;
  }
}
