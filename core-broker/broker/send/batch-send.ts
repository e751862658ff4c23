// SEND_BATCH_MESSAGE (320): every inner message becomes a record of its own, with dense queue offsets,
// because all of them are appended in one tick. The whole batch is checked before the first append.
// If the store refuses in the middle (full, fenced) the client gets an error and sends all again.
// Source: MessageExtBatch, SendMessageProcessor.sendBatchMessage, behaviour only.
import {
  BatchEntry,
  encodeResponse,
  formatOffsetMsgId,
  KnownProperties,
  ResponseCode,
  readBatchEntry,
  type SendRequestView,
  SysFlag,
  scanProperties,
} from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import type { RecordSource } from '../../store/index.ts';
import type { HandlerContext } from '../handler-context.ts';
import type { Topic } from '../metadata/index.ts';
import { refuse } from '../response-codes.ts';
import { emptyRecord } from '../writing/index.ts';
import type { StoredProperties } from './stored-properties.ts';

const ZERO = '0'.charCodeAt(0);
const MINUS = '-'.charCodeAt(0);

interface BatchRequest {
  view: SendRequestView;
  topic: Topic;
  queueId: number;
}

export class BatchSend {
  readonly #context: HandlerContext;
  readonly #properties: StoredProperties;
  readonly #entry = new BatchEntry();
  readonly #found = new KnownProperties();

  constructor(context: HandlerContext, properties: StoredProperties) {
    this.#context = context;
    this.#properties = properties;
  }

  append(
    connection: ServerConnection,
    chunk: Buffer,
    request: BatchRequest,
  ): { count: number; bytes: number; end: number; reply: Buffer } {
    this.#check(chunk, request);
    const { view, topic, queueId } = request;
    const record = emptyRecord(topic.handle);
    record.queueId = queueId;
    record.sysFlag = view.sysFlag;
    record.bornTimestampMs = view.bornTimestampMs;
    record.bornHost = connection.bornHost;
    record.reconsumeTimes = view.reconsumeTimes;
    record.body = chunk;
    record.properties = this.#properties.bytes;
    const ids: string[] = [];
    let firstOffset = -1;
    let bytes = 0;
    let end = 0;
    const bodyEnd = view.bodyStart + view.bodyLength;
    for (let at = view.bodyStart; at < bodyEnd; at = this.#entry.next) {
      const result = this.#appendEntry(chunk, record, { at, bodyEnd });
      if (firstOffset < 0) firstOffset = result.queueOffset;
      bytes += result.sizeBytes;
      end = result.physicalOffset + result.sizeBytes;
      ids.push(formatOffsetMsgId(this.#properties.storeHost, result.physicalOffset));
    }
    const reply = this.#reply(view, { queueId, queueOffset: firstOffset, msgId: ids.join(',') });
    return { count: ids.length, bytes, end, reply };
  }

  #appendEntry(chunk: Buffer, record: RecordSource, range: { at: number; bodyEnd: number }) {
    const entry = this.#entry;
    readBatchEntry(chunk, range.at, range.bodyEnd, entry);
    scanProperties(chunk, entry.propertiesStart, entry.propertiesLength, this.#found);
    this.#properties.build(chunk, entry.propertiesStart, entry.propertiesLength, this.#found);
    record.flag = entry.flag;
    record.bodyStart = entry.bodyStart;
    record.bodyLength = entry.bodyLength;
    record.propertiesLength = this.#properties.length;
    record.marks = this.#properties.marks;
    return this.#context.parts.store.append(record);
  }

  /** Everything that can be wrong with a batch, before anything of it is stored. */
  #check(chunk: Buffer, { view, topic }: BatchRequest): void {
    if (topic.isSpecial) illegal('batch request does not support retry group');
    const maxBytes = this.#context.parts.config.maxMessageSize;
    if (view.bodyLength > maxBytes)
      illegal(`batch of ${view.bodyLength} bytes is above ${maxBytes}`);
    if ((view.sysFlag & SysFlag.TRANSACTION_ROLLBACK) !== 0) illegal('batch with transaction');
    const bodyEnd = view.bodyStart + view.bodyLength;
    if (view.bodyLength === 0) illegal('empty batch');
    for (let at = view.bodyStart; at < bodyEnd; at = this.#entry.next) {
      if (!readBatchEntry(chunk, at, bodyEnd, this.#entry))
        illegal('a length in the batch is wrong');
      this.#checkEntry(chunk);
    }
  }

  #checkEntry(chunk: Buffer): void {
    const { propertiesStart, propertiesLength } = this.#entry;
    const found = this.#found;
    scanProperties(chunk, propertiesStart, propertiesLength, found);
    if (isDelayed(chunk, found.delay)) illegal('batch with delay level');
    if (found.tranMsg.start >= 0) illegal('batch with transaction');
    if (found.timer.start >= 0) illegal('batch with timer');
    if (!this.#properties.build(chunk, propertiesStart, propertiesLength, found)) {
      illegal(`properties of ${propertiesLength} bytes are too long`);
    }
  }

  #reply(
    view: SendRequestView,
    ext: { queueId: number; queueOffset: number; msgId: string },
  ): Buffer {
    const { regionId, traceOn } = this.#context.parts.config;
    return encodeResponse(view.opaque, {
      code: ResponseCode.SUCCESS,
      ext: { MSG_REGION: regionId, TRACE_ON: traceOn, ...ext },
    });
  }
}

const illegal = (problem: string): never =>
  refuse(ResponseCode.MESSAGE_ILLEGAL, `the message is illegal, ${problem}`);

/** Level 0 or -1, as messages of a dead letter topic have it, is none. */
const isDelayed = (chunk: Buffer, { start, end }: { start: number; end: number }): boolean =>
  start >= 0 && chunk[start] !== MINUS && !(end - start === 1 && chunk[start] === ZERO);
