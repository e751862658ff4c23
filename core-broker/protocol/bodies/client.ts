// What clients tell a broker about themselves: heartbeat, subscriptions, queues, locks, consumer list.
// Source: HeartbeatData, ConsumerData, SubscriptionData, LockBatchRequestBody.
import { javaHashCode } from '../message/index.ts';
import { parseJson, parseJsonObject } from '../wire/index.ts';
import {
  arrayOr,
  asObject,
  booleanOr,
  type JsonObject,
  numberOr,
  textOr,
  texts,
} from './fields.ts';

export interface MessageQueue {
  brokerName: string;
  queueId: number;
  topic: string;
}

export interface SubscriptionData {
  classFilterMode: boolean;
  codeSet: number[];
  /** TAG when absent (ali-ons). */
  expressionType: string;
  subString: string;
  subVersion: number;
  tagsSet: string[];
  topic: string;
}

export type MessageModel = 'BROADCASTING' | 'CLUSTERING';

export interface ConsumerData {
  consumeFromWhere: string;
  consumeType: string;
  groupName: string;
  messageModel: MessageModel;
  subscriptionDataSet: SubscriptionData[];
  unitMode: boolean;
}

export interface HeartbeatData {
  clientID: string;
  consumerDataSet: ConsumerData[];
  producerDataSet: { groupName: string }[];
  heartbeatFingerprint: number;
  withoutSub: boolean;
}

export const SUB_ALL = '*';
export const EXPRESSION_TAG = 'TAG';

export const isTagExpression = (type: string | undefined): boolean =>
  type === undefined || type === '' || type === EXPRESSION_TAG;

export function readMessageQueue(value: unknown): MessageQueue {
  const fields = asObject(value, 'MessageQueue');
  return {
    brokerName: textOr(fields['brokerName'], ''),
    queueId: numberOr(fields['queueId'], 0),
    topic: textOr(fields['topic'], ''),
  };
}

/** A MessageQueue as key of a JSON map: its strict JSON text, fields in Java's order. */
export const messageQueueKey = ({ brokerName, queueId, topic }: MessageQueue): string =>
  JSON.stringify({ brokerName, queueId, topic });

/**
 * JSON as Java prints it where queues are keys of a map: such a key stands as an object, not as text.
 * Invariant: no other key begins with a brace. 5.5.0 tools read nothing else there, older ones both.
 */
export function toQueueKeyedJson(value: unknown): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    if (!Array.isArray(value)) return JSON.stringify(value) ?? 'null';
    return `[${value.map(toQueueKeyedJson).join(',')}]`;
  }
  const rows = Object.entries(value).filter(([, item]) => item !== undefined);
  const fields = rows.map(([key, item]) => {
    const name = key.startsWith('{') ? key : JSON.stringify(key);
    return `${name}:${toQueueKeyedJson(item)}`;
  });
  return `{${fields.join(',')}}`;
}

/** Reads such a key. @throws DrError PROTOCOL */
export const parseMessageQueueKey = (key: string): MessageQueue => readMessageQueue(parseJson(key));

export function readSubscription(value: unknown): SubscriptionData {
  const fields = asObject(value, 'SubscriptionData');
  return {
    classFilterMode: booleanOr(fields['classFilterMode'], false),
    codeSet: arrayOr(fields['codeSet']).map((code) => numberOr(code, 0)),
    expressionType: textOr(fields['expressionType'], EXPRESSION_TAG),
    subString: textOr(fields['subString'], SUB_ALL),
    subVersion: numberOr(fields['subVersion'], 0),
    tagsSet: texts(fields['tagsSet']),
    topic: textOr(fields['topic'], ''),
  };
}

/** Subscription from the text of a pull request: `*`, empty or `A || B`. */
export function tagSubscription(
  topic: string,
  expression: string | undefined,
  subVersion: number,
): SubscriptionData {
  const subString = expression?.trim() ? expression : SUB_ALL;
  const tags = subString === SUB_ALL ? [] : subString.split('||').map((tag) => tag.trim());
  const tagsSet = [...new Set(tags.filter((tag) => tag !== ''))];
  return {
    classFilterMode: false,
    codeSet: [...new Set(tagsSet.map(javaHashCode))],
    expressionType: EXPRESSION_TAG,
    subString,
    subVersion,
    tagsSet,
    topic,
  };
}

/** @throws DrError PROTOCOL */
export function decodeHeartbeat(body: Uint8Array | string | undefined): HeartbeatData {
  const fields = parseJsonObject(body);
  return {
    clientID: textOr(fields['clientID'], ''),
    consumerDataSet: arrayOr(fields['consumerDataSet']).map(readConsumerData),
    producerDataSet: arrayOr(fields['producerDataSet']).map((item) => ({
      groupName: textOr(asObject(item, 'ProducerData')['groupName'], ''),
    })),
    heartbeatFingerprint: numberOr(fields['heartbeatFingerprint'], 0),
    withoutSub: booleanOr(fields['withoutSub'], false),
  };
}

function readConsumerData(value: unknown): ConsumerData {
  const fields = asObject(value, 'ConsumerData');
  const model = textOr(fields['messageModel'], 'CLUSTERING');
  return {
    consumeFromWhere: textOr(fields['consumeFromWhere'], 'CONSUME_FROM_LAST_OFFSET'),
    consumeType: textOr(fields['consumeType'], 'CONSUME_PASSIVELY'),
    groupName: textOr(fields['groupName'], ''),
    messageModel: model === 'BROADCASTING' ? 'BROADCASTING' : 'CLUSTERING',
    subscriptionDataSet: arrayOr(fields['subscriptionDataSet']).map(readSubscription),
    unitMode: booleanOr(fields['unitMode'], false),
  };
}

export const encodeHeartbeat = (heartbeat: HeartbeatData): string => JSON.stringify(heartbeat);

export interface LockBatchRequest {
  clientId: string;
  consumerGroup: string;
  mqSet: MessageQueue[];
  onlyThisBroker: boolean;
}

/** Body of LOCK_BATCH_MQ and UNLOCK_BATCH_MQ. @throws DrError PROTOCOL */
export function decodeLockBatch(body: Uint8Array | string | undefined): LockBatchRequest {
  const fields: JsonObject = parseJsonObject(body);
  return {
    clientId: textOr(fields['clientId'], ''),
    consumerGroup: textOr(fields['consumerGroup'], ''),
    mqSet: arrayOr(fields['mqSet']).map(readMessageQueue),
    onlyThisBroker: booleanOr(fields['onlyThisBroker'], false),
  };
}

/** @throws DrError PROTOCOL */
export const decodeConsumerIds = (body: Uint8Array | string | undefined): string[] =>
  texts(parseJsonObject(body)['consumerIdList']);
