// CONSUMER_SEND_MSG_BACK: a consumer could not handle a message. It comes again on the group's retry
// topic after a growing delay, and after too many times goes to the dead letter topic.
// Answered only when the new record may be acknowledged. Source: AbstractSendMessageProcessor
// .consumerSendMsgBack, behaviour only.

import { DrError } from '../../base/index.ts';
import {
  type DecodedRecord,
  decodeRecord,
  dlqTopic,
  formatMessageProperties,
  formatOffsetMsgId,
  MqVersion,
  Perm,
  Property,
  parseMessageProperties,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
  retryTopic,
  type SubscriptionGroupConfig,
} from '../../protocol/index.ts';
import { numberField, textField } from '../fields.ts';
import type { HandlerContext } from '../handler-context.ts';
import type { Topic } from '../metadata/index.ts';
import { OK, refuse } from '../response-codes.ts';
import { clampLevel } from '../schedule/index.ts';
import { copyAt, parkForDelay, type Target } from '../writing/index.ts';

/** First retry comes after level 3 (10 s). */
const FIRST_LEVEL = 3;

export function addSendBackHandler(context: HandlerContext): void {
  context.parts.requests.on(RequestCode.CONSUMER_SEND_MSG_BACK, (request) =>
    sendBack(context, request),
  );
}

async function sendBack(context: HandlerContext, request: RemotingCommand): Promise<ResponseInit> {
  const refusal = context.parts.admission.current.sendBackRefusal();
  if (refusal) return refusal;
  const group = checkedGroup(context, request);
  if (group.retryQueueNums <= 0) return OK;
  const retries = retryTopicOf(context, group);
  const record = load(context, numberField(request, 'offset'));
  const properties = parseMessageProperties(record.properties);
  if (!properties.has(Property.RETRY_TOPIC)) properties.set(Property.RETRY_TOPIC, record.topic);
  if (!properties.has(Property.ORIGIN_MESSAGE_ID)) {
    const origin = formatOffsetMsgId(record.storeHost, record.physicalOffset);
    properties.set(Property.ORIGIN_MESSAGE_ID, origin);
  }
  // The sender has its answer; consumers see these two as Apache writes them.
  properties.set(Property.WAIT, 'false');
  const delayLevel = numberField(request, 'delayLevel', 0);
  const isDead = delayLevel < 0 || record.reconsumeTimes >= retriesMax(request, group);
  const target = isDead
    ? deadLetter(context, group, properties)
    : retryLater(context, retries, {
        properties,
        queues: group.retryQueueNums,
        level: delayLevel || FIRST_LEVEL + record.reconsumeTimes,
      });
  const topic = context.parts.store.topic(target.topic);
  await context.writer.appendDurably({
    ...copyAt(record, { ...target, topic }),
    reconsumeTimes: record.reconsumeTimes + 1,
  });
  context.stats.countSendBack(
    properties.get(Property.RETRY_TOPIC) ?? record.topic,
    group.groupName,
  );
  if (isDead) context.stats.countDeadLetter(record.topic, group.groupName, request.ext);
  return OK;
}

function checkedGroup(context: HandlerContext, request: RemotingCommand): SubscriptionGroupConfig {
  const name = textField(request, 'group');
  const group = context.creation.group(name);
  if (!group) {
    return refuse(
      ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
      `subscription group not exist, ${name}`,
    );
  }
  if ((context.parts.config.brokerPermission & Perm.WRITE) === 0) {
    refuse(ResponseCode.NO_PERMISSION, 'the broker sending message is forbidden');
  }
  return group;
}

function load(context: HandlerContext, offset: number): DecodedRecord {
  try {
    return decodeRecord(context.parts.store.readRecord(offset));
  } catch (reason) {
    if (!DrError.is(reason, 'NOT_FOUND')) throw reason;
    return refuse(ResponseCode.SYSTEM_ERROR, `look message by offset failed, ${offset}`);
  }
}

/** Clients since 3.4.9 say how often they want to retry; older ones take the group's number. */
function retriesMax(request: RemotingCommand, group: SubscriptionGroupConfig): number {
  if (request.version < MqVersion.V3_4_9) return group.retryMaxTimes;
  return numberField(request, 'maxReconsumeTimes', group.retryMaxTimes);
}

/** The group's retry topic; Apache makes and checks it for dead letters too. */
function retryTopicOf(context: HandlerContext, group: SubscriptionGroupConfig): Topic {
  const { groupName, retryQueueNums } = group;
  const topic = context.creation.retryTopic(groupName, retryQueueNums);
  if (!topic) return refuseMissing(retryTopic(groupName));
  if ((topic.config.perm & Perm.WRITE) !== 0) return topic;
  const name = topic.config.topicName;
  return refuse(ResponseCode.NO_PERMISSION, `the topic[${name}] sending message is forbidden`);
}

function deadLetter(
  context: HandlerContext,
  { groupName }: SubscriptionGroupConfig,
  properties: Map<string, string>,
): Target & { properties: string } {
  const topic = context.creation.dlqTopic(groupName);
  if (!topic) return refuseMissing(dlqTopic(groupName));
  properties.set(Property.DELAY, '0');
  const text = formatMessageProperties(properties);
  return { topic: topic.config.topicName, queueId: 0, properties: text };
}

function retryLater(
  context: HandlerContext,
  { config }: Topic,
  retry: { properties: Map<string, string>; queues: number; level: number },
): Target & { properties: string } {
  const queueId = Math.floor(Math.random() * retry.queues);
  const level = clampLevel(retry.level, context.levelsMs);
  return parkForDelay({ topic: config.topicName, queueId }, retry.properties, level);
}

const refuseMissing = (topic: string): never =>
  refuse(ResponseCode.SYSTEM_ERROR, `topic[${topic}] not exist`);
