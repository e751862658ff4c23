// Sends that cannot take the plain road: delay levels, delivery times, retry topics, properties that already carry the
// broker's own. Properties become a map here; the result is one append like any other.
// Source: SendMessageProcessor.handleRetryAndDLQ, HookUtils, behaviour only.
import { LIMITS } from '../../base/index.ts';
import {
  formatMessageProperties,
  groupOfTopic,
  isRetryTopic,
  MqVersion,
  Property,
  parseMessageProperties,
  ResponseCode,
  type SendRequestView,
  TIMER_TOPIC,
} from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import type { AppendResult } from '../../store/index.ts';
import type { HandlerContext } from '../handler-context.ts';
import type { Topic as StoredTopic } from '../metadata/index.ts';
import { refuse } from '../response-codes.ts';
import { clampLevel } from '../schedule/index.ts';
import {
  asksForTime,
  isTimer,
  parkAsHalf,
  parkForDelay,
  parkForTimer,
  type Target,
  withTransactionType,
} from '../writing/index.ts';
import { isPlainText } from './plain-text.ts';
import { encodeRecallReply } from './recall-handle.ts';
import type { StoredProperties } from './stored-properties.ts';

export interface StoredSend {
  queueId: number;
  result: AppendResult;
  /** UNIQ_KEY for the reply; empty when it cannot stand in JSON as it is. */
  unique: Buffer;
  /** The whole reply, when it has more in it than others. */
  reply: Buffer | undefined;
}

export class RareSend {
  readonly #context: HandlerContext;
  readonly #properties: StoredProperties;

  constructor(context: HandlerContext, properties: StoredProperties) {
    this.#context = context;
    this.#properties = properties;
  }

  append(
    connection: ServerConnection,
    chunk: Buffer,
    { view, topic, queueId }: { view: SendRequestView; topic: StoredTopic; queueId: number },
  ): StoredSend {
    const properties = this.#properties.addTo(readProperties(view));
    const target = this.#divert({ topic: topic.config.topicName, queueId }, view, properties);
    const isHalf = isHalfMessage(view, properties);
    if (isHalf) this.#checkHalf(properties);
    const stored = isHalf ? parkAsHalf(target, properties) : this.#park(target, properties);
    if (Buffer.byteLength(stored.properties) > LIMITS.propertiesBytesMax) {
      refuse(ResponseCode.MESSAGE_ILLEGAL, 'the message is illegal, its properties are too long');
    }
    const result = this.#context.writer.append({
      topic: this.#context.parts.store.topic(stored.topic),
      queueId: stored.queueId,
      body: chunk.subarray(view.bodyStart, view.bodyStart + view.bodyLength),
      properties: stored.properties,
      bornTimestampMs: view.bornTimestampMs,
      bornHost: connection.bornHost,
      flag: view.flag,
      sysFlag: isHalf ? withTransactionType(view.sysFlag, 0) : view.sysFlag,
      reconsumeTimes: view.reconsumeTimes,
    });
    if (isHalf) this.#context.stats.transactions.halves++;
    const unique = Buffer.from(properties.get(Property.UNIQ_KEY) ?? '');
    const isPlain = isPlainText(unique, 0, unique.length);
    // A parked message is answered with the queue it will be delivered to, as Apache does.
    const reply = this.#recallReply(view, { target, stored, properties, result });
    return { queueId: target.queueId, result, unique: isPlain ? unique : Buffer.alloc(0), reply };
  }

  /** What Apache loses is refused: a delay would take the half message away from its check. */
  #checkHalf(properties: Map<string, string>): void {
    const { config } = this.#context.parts;
    if (config.rejectTransactionMessage) {
      const remark = `the broker[${config.brokerIP1}] sending transaction message is forbidden`;
      refuse(ResponseCode.NO_PERMISSION, remark);
    }
    if (isDelayed(properties)) {
      refuse(ResponseCode.MESSAGE_ILLEGAL, 'a transaction message cannot be delayed');
    }
  }

  /** A retry that came too often goes to the dead letter topic, at once and without delay. */
  #divert(target: Target, view: SendRequestView, properties: Map<string, string>): Target {
    if (!isRetryTopic(target.topic)) return target;
    // Order: the topic may have come with a heartbeat, and is in its file before a message is in it.
    this.#context.parts.tables.topics.makeSure(target.topic);
    const name = groupOfTopic(target.topic);
    const group = this.#context.creation.group(name);
    if (!group) {
      return refuse(
        ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
        `subscription group not exist, ${name}`,
      );
    }
    const isTold = view.maxReconsumeTimes >= 0 && view.version >= MqVersion.V3_4_9;
    const max = isTold ? view.maxReconsumeTimes : group.retryMaxTimes;
    if (view.reconsumeTimes <= max && !this.#context.locks.isLocked(name)) return target;
    const dead = this.#context.creation.dlqTopic(name);
    if (!dead) return refuse(ResponseCode.TOPIC_NOT_EXIST, `%DLQ%${name} not exist`);
    properties.set(Property.DELAY, '-1');
    return { topic: dead.config.topicName, queueId: 0 };
  }

  #park(target: Target, properties: Map<string, string>): Target & { properties: string } {
    const level = Number(properties.get(Property.DELAY) ?? 0);
    if (Number.isInteger(level) && level > 0) {
      return parkForDelay(target, properties, clampLevel(level, this.#context.levelsMs));
    }
    const { parts, timers } = this.#context;
    const rules = {
      config: parts.config,
      nowMs: parts.clock.nowMs(),
      congestion: (dueMs: number) => timers.congestion(dueMs),
    };
    const parked = isTimer(properties) ? parkForTimer(target, properties, rules) : undefined;
    return parked ?? { ...target, properties: formatMessageProperties(properties) };
  }

  /** A timer message is answered with the handle that calls it back. */
  #recallReply(
    view: SendRequestView,
    sent: {
      target: Target;
      stored: Target;
      properties: Map<string, string>;
      result: AppendResult;
    },
  ): Buffer | undefined {
    const { target, stored, properties, result } = sent;
    if (stored.topic !== TIMER_TOPIC || stored === target || isRetryTopic(target.topic)) return;
    return encodeRecallReply(view.opaque, {
      config: this.#context.parts.config,
      storeHost: this.#properties.storeHost,
      queueId: target.queueId,
      properties,
      result,
    });
  }
}

/** Messages of a dead letter topic have level 0 or -1: none. */
const isDelayed = (properties: Map<string, string>): boolean =>
  Number(properties.get(Property.DELAY) ?? 0) > 0 || asksForTime(properties);

/** Clients before 4.6.1 keep TRAN_MSG on a message they send back for a retry: that one is none. */
function isHalfMessage(view: SendRequestView, properties: Map<string, string>): boolean {
  if (properties.get(Property.TRAN_MSG)?.toLowerCase() !== 'true') return false;
  return !(view.reconsumeTimes > 0 && Number(properties.get(Property.DELAY) ?? 0) > 0);
}

const readProperties = (view: SendRequestView): Map<string, string> => {
  const { properties, propertiesStart, propertiesLength } = view;
  return parseMessageProperties(
    properties.toString('utf8', propertiesStart, propertiesStart + propertiesLength),
  );
};
