// Consumption as tools see it: who is connected, how far behind each group is, which topics it reads.
// Source: AdminBrokerProcessor, behaviour only.
import {
  OUR_LANGUAGE,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
} from '../../protocol/index.ts';
import type { QueueRef } from '../../store/index.ts';
import type { ClientChannel, ConsumerGroup } from '../clients/index.ts';
import { flagField, textField } from '../fields.ts';
import type { HandlerContext } from '../handler-context.ts';
import { okJson, refuse } from '../response-codes.ts';
import { queueName } from './topic-admin.ts';

interface QueueProgress {
  brokerOffset: number;
  consumerOffset: number;
  lastTimestamp: number;
  pullOffset: number;
}

interface GroupProgress {
  consumeTps: number;
  offsetTable: Record<string, QueueProgress>;
}

export function addConsumeHandlers(context: HandlerContext): void {
  const { requests, tables } = context.parts;
  requests.on(RequestCode.GET_CONSUMER_CONNECTION_LIST, (request) =>
    consumerConnections(context, request),
  );
  requests.on(RequestCode.GET_PRODUCER_CONNECTION_LIST, (request) => {
    const group = textField(request, 'producerGroup');
    const channels = context.producers.channels(group);
    if (channels) return okJson({ connectionSet: channels.map(connectionOf) });
    return refuse(ResponseCode.SYSTEM_ERROR, `the producer group[${group}] not exist`);
  });
  requests.on(RequestCode.GET_ALL_PRODUCER_INFO, () => okJson({ data: producerInfo(context) }));
  requests.on(RequestCode.GET_CONSUME_STATS, (request) => {
    const group = textField(request, 'consumerGroup');
    return okJson(progressOf(context, group, wantedTopics(context, request, group)));
  });
  requests.on(RequestCode.GET_BROKER_CONSUME_STATS, (request) => brokerProgress(context, request));
  requests.on(RequestCode.QUERY_CONSUME_TIME_SPAN, (request) => timeSpans(context, request));
  requests.on(RequestCode.QUERY_SUBSCRIPTION_BY_CONSUMER, (request) => {
    const group = textField(request, 'group');
    const topic = textField(request, 'topic');
    const subscriptionData = context.consumers.find(group)?.subscriptions.get(topic);
    return okJson({ group, topic, subscriptionData });
  });
  requests.on(RequestCode.GET_ALL_CONSUMER_OFFSET, () => okJson(tables.offsets.content()));
  requests.on(RequestCode.GET_ALL_DELAY_OFFSET, () => okJson(tables.delays.content()));
}

function consumerConnections(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const name = textField(request, 'consumerGroup');
  const group = context.consumers.find(name);
  if (!group) {
    return refuse(ResponseCode.CONSUMER_NOT_ONLINE, `the consumer group[${name}] not online`);
  }
  return okJson({
    connectionSet: [...group.channels.values()].map(connectionOf),
    consumeFromWhere: group.consumeFromWhere,
    consumeType: group.consumeType,
    messageModel: group.messageModel,
    subscriptionTable: Object.fromEntries(group.subscriptions),
  });
}

const connectionOf = (channel: ClientChannel): object => ({
  clientAddr: `${channel.connection.remoteAddress}:${channel.connection.remotePort}`,
  clientId: channel.clientId,
  language: channel.language || OUR_LANGUAGE,
  version: channel.version,
});

function producerInfo(context: HandlerContext): Record<string, object[]> {
  const { clock } = context.parts;
  // Heartbeats are noted in monotonic time.
  const startMs = clock.nowMs() - clock.monotonicMs();
  const rows = [...context.producers.groups()].map(([group, channels]) => [
    group,
    channels.map((channel) => ({
      clientId: channel.clientId,
      language: channel.language,
      lastUpdateTimestamp: Math.round(startMs + channel.lastUpdateMs),
      // As Java writes a socket's address.
      remoteIP: `/${channel.connection.remoteAddress}:${channel.connection.remotePort}`,
      version: channel.version,
    })),
  ]);
  return Object.fromEntries(rows);
}

/**
 * A list is taken as it is. One topic, or every topic with offsets, only while it is subscribed or nobody
 * is online.
 */
function wantedTopics(context: HandlerContext, request: RemotingCommand, group: string): string[] {
  const { topic, topicList } = request.ext;
  if (topicList) return topicList.split(';').filter((name) => name !== '');
  const members = context.consumers.find(group);
  const named = topic?.trim() ? [topic] : context.parts.tables.offsets.topicsOf(group);
  return named.filter((name) => isSubscribed(members, name));
}

const isSubscribed = (members: ConsumerGroup | undefined, topic: string): boolean =>
  members === undefined || members.subscriptions.size === 0 || members.subscriptions.has(topic);

function progressOf(context: HandlerContext, group: string, topics: string[]): GroupProgress {
  const offsetTable: Record<string, QueueProgress> = {};
  let consumeTps = 0;
  for (const topic of topics) {
    const config = context.parts.tables.topics.find(topic)?.config;
    if (!config) continue;
    for (let queueId = 0; queueId < config.readQueueNums; queueId++) {
      const name = queueName(context, topic, queueId);
      offsetTable[name] = queueProgress(context, group, { topic, queueId });
    }
    consumeTps += context.stats.perSecond('GROUP_GET_NUMS', `${topic}@${group}`);
  }
  return { consumeTps, offsetTable };
}

function queueProgress(
  context: HandlerContext,
  group: string,
  queue: { topic: string; queueId: number },
): QueueProgress {
  const { store, tables } = context.parts;
  const bounds = store.bounds(queue);
  const consumerOffset = Math.max(tables.offsets.query({ ...queue, group }), 0);
  const last = consumerOffset - 1;
  const isThere = bounds !== undefined && last >= bounds.min && last < bounds.max;
  return {
    brokerOffset: bounds?.max ?? 0,
    consumerOffset,
    lastTimestamp: isThere ? store.storeTimeOf(queue, last) : 0,
    pullOffset: consumerOffset,
  };
}

/** Every group; one entry per topic, of order topics only when asked for. */
function brokerProgress(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const { groups, offsets, topics } = context.parts.tables;
  const isOrder = flagField(request, 'isOrder');
  const rows = [...groups.all()].map(({ groupName }) => {
    const members = context.consumers.find(groupName);
    const stats = offsets
      .topicsOf(groupName)
      .filter((name) => isSubscribed(members, name))
      .map((name) => topics.find(name)?.config)
      .filter((topic) => topic !== undefined && (topic.order || !isOrder))
      .map((topic) => progressOf(context, groupName, [topic?.topicName ?? '']));
    return { groupName, stats };
  });
  const behind = rows
    .flatMap((row) => row.stats.flatMap(({ offsetTable }) => Object.values(offsetTable)))
    .reduce((sum, queue) => sum + queue.brokerOffset - queue.consumerOffset, 0);
  return okJson({
    brokerAddr: context.parts.advertised(),
    consumeStatsList: rows.map((row) => ({ [row.groupName]: row.stats })),
    totalDiff: behind,
    totalInflightDiff: 0,
  });
}

/** How old what a group reads is, per queue (303). */
function timeSpans(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const topic = textField(request, 'topic');
  const group = textField(request, 'group');
  const config = context.parts.tables.topics.find(topic)?.config;
  if (!config) return refuse(ResponseCode.TOPIC_NOT_EXIST, `topic[${topic}] not exist`);
  const spans = Array.from({ length: config.writeQueueNums }, (_, queueId) =>
    timeSpan(context, group, { topic, queueId }),
  );
  return okJson({ consumeTimeSpanSet: spans });
}

function timeSpan(context: HandlerContext, group: string, queue: QueueRef): object {
  const { store, tables, config, clock } = context.parts;
  const { min, max } = store.bounds(queue) ?? { min: 0, max: 0 };
  const timeAt = (offset: number): number =>
    offset >= min && offset < max ? store.storeTimeOf(queue, offset) : -1;
  const offset = tables.offsets.query({ ...queue, group });
  const next = Math.max(offset, min);
  const span = {
    consumeTimeStamp: timeAt(offset > 0 ? offset - 1 : min),
    delayTime: next < max ? clock.nowMs() - timeAt(next) : 0,
    maxTimeStamp: timeAt(max - 1),
    messageQueue: { brokerName: config.brokerName, queueId: queue.queueId, topic: queue.topic },
    minTimeStamp: timeAt(min),
  };
  const { consumeTimeStamp, maxTimeStamp, minTimeStamp } = span;
  return {
    ...span,
    consumeTimeStampStr: javaTime(consumeTimeStamp),
    maxTimeStampStr: javaTime(maxTimeStamp),
    minTimeStampStr: javaTime(minTimeStamp),
  };
}

/** `2026-11-21 14:05:09,123` in local time, as the tools print it. */
function javaTime(ms: number): string {
  const at = new Date(ms);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${day} ${time},${String(at.getMilliseconds()).padStart(3, '0')}`;
}
