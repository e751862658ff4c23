// SEND (10, 310, 320) from the bytes of a frame to a record in the log and a withheld reply.
// The plain case allocates nothing: scanned positions, topic by hash, properties copied once with a
// prebuilt suffix, reply from a template. Everything unusual (delay, retry, missing topic) leaves by a
// slower road that ends in the same append. Checks run in Apache's order.
// Invariant: a message that asks for what this broker refuses is never stored as a plain message.
// Source: SendMessageProcessor, behaviour only.
import {
  isSendForbidden,
  KnownProperties,
  newTopicConfig,
  Perm,
  Topic as ProtocolTopic,
  RequestCode,
  ResponseCode,
  SendField,
  type SendRequestView,
  SysFlag,
  scanProperties,
  topicProblem,
} from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import type { AppendResult, RecordSource } from '../../store/index.ts';
import type { HandlerContext } from '../handler-context.ts';
import type { Topic } from '../metadata/index.ts';
import {
  ReplyFields,
  type ReplyRelease,
  ReplyTemplate,
  type Session,
  sessionOf,
} from '../replies/index.ts';
import { refusalOf, refuse } from '../response-codes.ts';
import { emptyRecord } from '../writing/index.ts';
import { BatchSend } from './batch-send.ts';
import { kernelShapeOf } from './kernel-shape.ts';
import { type KnownSend, KnownSends, NO_BODY, queuesOf } from './known-sends.ts';
import { isPlainText } from './plain-text.ts';
import { RareSend } from './rare-send.ts';
import { SendRuns } from './send-runs.ts';
import type { StoredProperties, StoredPropertiesOptions } from './stored-properties.ts';

export interface SendPathOptions {
  context: HandlerContext;
  template: ReplyTemplate;
  release: ReplyRelease;
  properties: StoredProperties;
}

export class SendPath {
  readonly #context: HandlerContext;
  #template: ReplyTemplate;
  readonly #release: ReplyRelease;
  readonly #properties: StoredProperties;
  readonly #found = new KnownProperties();
  readonly #reply = new ReplyFields();
  readonly #record: RecordSource;
  readonly #rare: RareSend;
  readonly #batch: BatchSend;
  readonly #runs: SendRuns;
  /** Target of the send in hand; fields, so that no object is made per message. */
  #topic: Topic;
  #queueId = 0;
  /** Clock reading shared by the frames of one read. */
  #batchMs = 0;

  constructor({ context, template, release, properties }: SendPathOptions) {
    this.#context = context;
    this.#template = template;
    this.#release = release;
    this.#properties = properties;
    const handle = context.parts.store.topic(ProtocolTopic.AUTO_CREATE_KEY);
    const config = newTopicConfig(handle.name, 0);
    this.#topic = { config, handle, putCount: 0, putBytes: 0, isSpecial: false, isGone: false };
    this.#record = emptyRecord(handle);
    this.#rare = new RareSend(context, properties);
    this.#batch = new BatchSend(context, properties);
    this.#runs = new SendRuns(context, release);
  }

  /** Handles one scanned send; admission was asked before. */
  accept(connection: ServerConnection, chunk: Buffer, view: SendRequestView): void {
    try {
      const topic = this.#topicOf(chunk, view);
      this.#topic = topic;
      this.#queueId = chooseQueue(topic, view.queueId);
      if (view.isBatch) this.#acceptBatch(connection, chunk, view);
      else this.#acceptOne(connection, chunk, view);
    } catch (reason) {
      this.#refuse(connection, view, reason);
    }
  }

  /**
   * Handles a send like one that this client sent before; admission was asked before.
   * @returns false when it must be scanned; nothing happened then
   */
  acceptKnown(connection: ServerConnection, chunk: Buffer, start: number, end: number): boolean {
    const session = sessionOf(connection);
    const known = session.knownSends?.find(chunk, start, end);
    if (known === undefined) return false;
    const { config } = this.#context.parts;
    const { shape, topic, record } = known;
    const { bodyLength, queueId } = shape;
    const mayWrite = (config.brokerPermission & Perm.WRITE) !== 0;
    // Whatever would be refused takes the road that says why.
    if (!mayWrite || config.startAcceptSendRequestTimeStamp > 0) return false;
    if (bodyLength > config.maxMessageSize || queueId < 0 || queueId >= queuesOf(topic))
      return false;
    record.queueId = queueId;
    record.bornTimestampMs = shape.bornTimestampMs;
    record.body = chunk;
    record.bodyStart = shape.bodyStart;
    record.bodyLength = bodyLength;
    try {
      const result = this.#context.parts.store.append(record);
      this.#topic = topic;
      this.#count(result.sizeBytes, 1);
      if (!known.isOneway) this.#holdKnown(session, known, result);
    } catch (reason) {
      this.#refuse(connection, { opaque: shape.opaque, isOneway: known.isOneway }, reason);
    }
    record.body = NO_BODY;
    return true;
  }

  /** Takes frames of [start, end) that are like sends before. @returns the position behind them */
  acceptRun(connection: ServerConnection, chunk: Buffer, start: number, end: number): number {
    const session = sessionOf(connection);
    if (session.knownSends === undefined) return start;
    return this.#runs.accept(session, chunk, start, end);
  }

  #holdKnown(session: Session, known: KnownSend, result: AppendResult): void {
    const reply = this.#reply;
    reply.queueId = known.record.queueId;
    reply.unique = known.shape.text;
    reply.uniqueStart = known.uniqueStart;
    reply.uniqueLength = known.uniqueLength;
    this.#hold(session, known.shape.opaque, result);
  }

  /** An operator changed what every message and reply carries. */
  restate(facts: StoredPropertiesOptions): void {
    this.#properties.restate(facts);
    this.#template = new ReplyTemplate(facts);
    // Order: what was learned holds the old values.
    for (const connection of this.#context.parts.frames.connections()) {
      sessionOf(connection).knownSends = undefined;
    }
  }

  /** The frames of one read are through: the next one reads the clock again. */
  endBatch(): void {
    this.#batchMs = 0;
    this.#runs.forgetChunk();
  }

  #acceptOne(connection: ServerConnection, chunk: Buffer, view: SendRequestView): void {
    const { config } = this.#context.parts;
    const found = this.#found;
    if (view.bodyLength > config.maxMessageSize) refuseSize(view.bodyLength, config.maxMessageSize);
    scanProperties(view.properties, view.propertiesStart, view.propertiesLength, found);
    refuseHidden(view, found);
    const isParked = found.delay.start >= 0 || found.timer.start >= 0 || found.tranMsg.start >= 0;
    const isPlain = !this.#topic.isSpecial && !isParked;
    const isCounted = isPlain && this.#properties.isPlain(found);
    const result = isCounted
      ? this.#append(connection, chunk, view)
      : this.#appendRare(connection, chunk, view);
    if (result === undefined) return;
    // The rare road counts where it writes: a delayed message is one of the schedule topic first.
    if (isCounted) this.#count(result.sizeBytes, 1);
    if (!view.isOneway) this.#hold(sessionOf(connection), view.opaque, result);
  }

  /** The plain road: no allocation from here on. */
  #append(connection: ServerConnection, chunk: Buffer, view: SendRequestView): AppendResult {
    const properties = this.#properties;
    const { propertiesStart, propertiesLength } = view;
    if (!properties.build(view.properties, propertiesStart, propertiesLength, this.#found)) {
      refuseProperties(propertiesLength);
    }
    const record = this.#record;
    record.topic = this.#topic.handle;
    record.queueId = this.#queueId;
    record.flag = view.flag;
    record.sysFlag = view.sysFlag;
    record.bornTimestampMs = view.bornTimestampMs;
    record.bornHost = connection.bornHost;
    record.reconsumeTimes = view.reconsumeTimes;
    record.body = chunk;
    record.bodyStart = view.bodyStart;
    record.bodyLength = view.bodyLength;
    record.properties = properties.bytes;
    record.propertiesLength = properties.length;
    record.marks = properties.marks;
    const { bytes, uniqueStart, uniqueLength } = properties;
    const reply = this.#reply;
    reply.queueId = this.#queueId;
    reply.unique = bytes;
    reply.uniqueStart = uniqueStart;
    const isPlain = isPlainText(bytes, uniqueStart, uniqueLength);
    reply.uniqueLength = isPlain ? uniqueLength : 0;
    const result = this.#context.parts.store.append(record);
    if (isPlain) this.#remember(connection, chunk, view, result);
    return result;
  }

  #remember(
    connection: ServerConnection,
    chunk: Buffer,
    view: SendRequestView,
    result: AppendResult,
  ): void {
    const session = sessionOf(connection);
    const { store } = this.#context.parts;
    session.knownSends ??= new KnownSends();
    const topic = this.#topic;
    session.knownSends.missed({
      chunk,
      view,
      topic,
      record: this.#record,
      kernelShape: (shape) =>
        kernelShapeOf({
          shape,
          source: this.#record,
          record: store.recordOf(result),
          keyHash: store.keyHashOf(topic.handle),
          template: this.#template,
        }),
    });
  }

  /** @returns undefined when the reply is on its way already */
  #appendRare(
    connection: ServerConnection,
    chunk: Buffer,
    view: SendRequestView,
  ): AppendResult | undefined {
    const request = { view, topic: this.#topic, queueId: this.#queueId };
    const stored = this.#rare.append(connection, chunk, request);
    if (stored.reply) {
      const end = stored.result.physicalOffset + stored.result.sizeBytes;
      this.#holdReply(connection, view, { reply: stored.reply, end });
      return undefined;
    }
    const reply = this.#reply;
    reply.queueId = stored.queueId;
    reply.unique = stored.unique;
    reply.uniqueStart = 0;
    reply.uniqueLength = stored.unique.length;
    return stored.result;
  }

  #hold(session: Session, opaque: number, result: AppendResult): void {
    const { replies } = session;
    const reply = this.#reply;
    reply.opaque = opaque;
    reply.physicalOffset = result.physicalOffset;
    reply.queueOffset = result.queueOffset;
    const at = replies.reserve(this.#template.sizeMax(reply));
    const stop = this.#template.encode(replies.buffer, at, reply);
    const end = result.physicalOffset + result.sizeBytes;
    replies.hold(stop, end, opaque, this.#nowMs());
    this.#release.held(session, end);
  }

  #acceptBatch(connection: ServerConnection, chunk: Buffer, view: SendRequestView): void {
    const request = { view, topic: this.#topic, queueId: this.#queueId };
    const stored = this.#batch.append(connection, chunk, request);
    this.#count(stored.bytes, stored.count);
    this.#holdReply(connection, view, stored);
  }

  /** A reply that is no template. */
  #holdReply(
    connection: ServerConnection,
    view: SendRequestView,
    stored: { reply: Buffer; end: number },
  ): void {
    if (view.isOneway) return;
    const session = sessionOf(connection);
    const at = session.replies.reserve(stored.reply.length);
    stored.reply.copy(session.replies.buffer, at);
    session.replies.hold(at + stored.reply.length, stored.end, view.opaque, this.#nowMs());
    this.#release.held(session, stored.end);
  }

  /** Known topics by their bytes; the rest by name, with creation. */
  #topicOf(chunk: Buffer, view: SendRequestView): Topic {
    const { config, tables } = this.#context.parts;
    if (config.startAcceptSendRequestTimeStamp > 0) this.#refuseBeforeStart();
    const topic = tables.topics.findBytes(chunk, view.topicStart, view.topicLength);
    if (topic === undefined) return this.#newTopic(chunk, view);
    if ((config.brokerPermission & Perm.WRITE) === 0 && topic.config.order) {
      refuse(ResponseCode.NO_PERMISSION, `the broker sending message is forbidden`);
    }
    if (topic.isSpecial) refuseForbidden(topic.config.topicName);
    return topic;
  }

  #refuseBeforeStart(): void {
    const { config, clock } = this.#context.parts;
    if (clock.nowMs() >= config.startAcceptSendRequestTimeStamp) return;
    const until = new Date(config.startAcceptSendRequestTimeStamp).toISOString();
    refuse(ResponseCode.SYSTEM_ERROR, `broker unable to service, until ${until}`);
  }

  #newTopic(chunk: Buffer, view: SendRequestView): Topic {
    const { topicStart, defaultTopicStart } = view;
    const name = chunk.toString('utf8', topicStart, topicStart + view.topicLength);
    const problem = topicProblem(name);
    if (problem) refuse(ResponseCode.INVALID_PARAMETER, problem);
    refuseForbidden(name);
    const made = this.#context.creation.onSend({
      topic: name,
      defaultTopic: chunk.toString(
        'utf8',
        defaultTopicStart,
        defaultTopicStart + view.defaultTopicLength,
      ),
      queueNums: view.defaultTopicQueueNums,
    });
    if (made) return made;
    return refuse(ResponseCode.TOPIC_NOT_EXIST, `topic[${name}] not exist, apply first please!`);
  }

  #count(bytes: number, messages: number): void {
    const { stats } = this.#context;
    this.#topic.putCount += messages;
    this.#topic.putBytes += bytes;
    stats.putTotal += messages;
    stats.putBytesTotal += bytes;
  }

  #nowMs(): number {
    if (this.#batchMs === 0) this.#batchMs = this.#context.parts.clock.monotonicMs();
    return this.#batchMs;
  }

  #refuse(
    connection: ServerConnection,
    send: { opaque: number; isOneway: boolean },
    reason: unknown,
  ): void {
    this.#context.stats.putFailedTotal++;
    if (send.isOneway) return;
    connection.respond(send.opaque, refusalOf(reason, this.#context.parts.admission.current));
  }
}

/** Which request codes end here. */
export const isSendCode = (code: number): boolean =>
  code === RequestCode.SEND_MESSAGE ||
  code === RequestCode.SEND_MESSAGE_V2 ||
  code === RequestCode.SEND_BATCH_MESSAGE;

function chooseQueue(topic: Topic, queueId: number): number {
  const { writeQueueNums, topicName } = topic.config;
  const max = queuesOf(topic);
  if (queueId >= max) {
    refuse(
      ResponseCode.INVALID_PARAMETER,
      `request queueId[${queueId}] is illegal, topic:[${topicName}] queues:[${max}]`,
    );
  }
  return queueId >= 0 ? queueId : Math.floor(Math.random() * Math.max(writeQueueNums, 1));
}

function refuseForbidden(topic: string): void {
  if (!isSendForbidden(topic)) return;
  refuse(ResponseCode.NO_PERMISSION, `Sending message to topic[${topic}] is forbidden.`);
}

/** Transaction bits without TRAN_MSG would hide the message. */
function refuseHidden(view: SendRequestView, found: KnownProperties): void {
  if ((view.sysFlag & SysFlag.TRANSACTION_ROLLBACK) !== 0 && found.tranMsg.start < 0) {
    refuse(ResponseCode.NO_PERMISSION, 'the broker sending transaction message is forbidden');
  }
}

function refuseSize(bodyBytes: number, maxBytes: number): never {
  return refuse(
    ResponseCode.MESSAGE_ILLEGAL,
    `the message is illegal, body length ${bodyBytes} is above ${maxBytes} bytes`,
  );
}

export function refuseProperties(bytes: number): never {
  return refuse(
    ResponseCode.MESSAGE_ILLEGAL,
    `the message is illegal, properties of ${bytes} bytes are too long`,
  );
}

/** Why a send frame was no send: asked when the scanner refused it twice. */
export function refuseUnreadable(ext: Record<string, string>, isShort: boolean): never {
  const field = (id: number, long: string) =>
    ext[isShort ? ('abcdefghijklmn'[id] as string) : long];
  const properties = field(SendField.PROPERTIES, 'properties') ?? '';
  if (Buffer.byteLength(properties) > 32_000) refuseProperties(Buffer.byteLength(properties));
  const problem = topicProblem(field(SendField.TOPIC, 'topic') ?? '');
  if (problem) refuse(ResponseCode.INVALID_PARAMETER, problem);
  return refuse(ResponseCode.SYSTEM_ERROR, 'a mandatory header field is missing or malformed');
}
