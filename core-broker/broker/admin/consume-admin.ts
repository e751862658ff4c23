// Consumption as tools see it: who is connected, how far behind each group is, which topics it reads.
// Source: AdminBrokerProcessor, behaviour only.
import {
  OUR_LANGUAGE,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
} from '../../protocol/index.ts';
import type { ClientChannel, ConsumerGroup } from '../clients/index.ts';
import { textField } from '../fields.ts';
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
  requests.on(RequestCode.GET_BROKER_CONSUME_STATS, () => brokerProgress(context));
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
  const rows = [...context.producers.groups()].map(([group, channels]) => [
    group,
    channels.map((channel) => ({
      clientId: channel.clientId,
      language: channel.language,
      lastUpdateTimestamp: context.parts.clock.nowMs(),
      remoteIP: channel.connection.remoteAddress,
      version: channel.version,
    })),
  ]);
  return Object.fromEntries(rows);
}

/** One topic, a list, or every topic with offsets that is still subscribed while members are there. */
function wantedTopics(context: HandlerContext, request: RemotingCommand, group: string): string[] {
  const { topic, topicList } = request.ext;
  if (topic) return [topic];
  if (topicList) return topicList.split(';').filter((name) => name !== '');
  const members = context.consumers.find(group);
  return context.parts.tables.offsets.topicsOf(group).filter((name) => isSubscribed(members, name));
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
    const gets = context.stats.find('GROUP_GET_NUMS', `${topic}@${group}`);
    consumeTps += gets?.figures('minute', context.parts.clock.nowMs()).tps ?? 0;
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

function brokerProgress(context: HandlerContext): ResponseInit {
  const rows = [...context.parts.tables.groups.all()].map((group) => {
    const topics = context.parts.tables.offsets.topicsOf(group.groupName);
    return { group: group.groupName, stats: progressOf(context, group.groupName, topics) };
  });
  const used = rows.filter((row) => Object.keys(row.stats.offsetTable).length > 0);
  const behind = used
    .flatMap((row) => Object.values(row.stats.offsetTable))
    .reduce((sum, queue) => sum + queue.brokerOffset - queue.consumerOffset, 0);
  return okJson({
    brokerAddr: context.parts.advertised(),
    consumeStatsList: used.map((row) => ({ [row.group]: [row.stats] })),
    totalDiff: behind,
    totalInflightDiff: 0,
  });
}
