// Topics as an administrator sees them: settings, bounds, who consumes them, creation and removal.
// Source: behaviour of mqadmin 4.9.7 and 5.5.0.
import { DrError } from '../../base/index.ts';
import {
  decodeTopicConfigTable,
  decodeTopicList,
  decodeTopicStats,
  type MessageQueue,
  RequestCode,
  ResponseCode,
  Topic,
  type TopicConfig,
  type TopicQueueOffset,
  type TopicRouteData,
} from '../../protocol/index.ts';
import { remoteCode } from '../peer-client.ts';
import { brokerAddresses, masterOf } from '../route-view.ts';
import type { AdminWire } from './wire.ts';

export const ORDER_NAMESPACE = 'ORDER_TOPIC_CONFIG';

export interface TopicChange {
  topic: string;
  readQueues: number;
  writeQueues: number;
  /** 2 = write, 4 = read, 6 = both. */
  perm: number;
  isOrder: boolean;
  sysFlag: number;
  /** `+key=value,-key` as 5.x reads it. */
  attributes?: string | undefined;
}

/** @throws DrError NO_ROUTE */
export const routeOf = (wire: AdminWire, topic: string): Promise<TopicRouteData> =>
  wire.routes.refresh(topic);

/** Address of the master of one broker in a topic's route. @throws DrError NOT_FOUND */
export async function brokerOf(
  wire: AdminWire,
  topic: string,
  brokerName: string,
): Promise<string> {
  const route = await routeOf(wire, topic);
  const address = masterOf(route, brokerName) ?? brokerAddresses(route)[0];
  const names = route.brokerDatas.map((data) => data.brokerName);
  if (address !== undefined && names.includes(brokerName)) return address;
  throw new DrError('NOT_FOUND', `topic ${topic} is not on broker ${brokerName}`, {
    hint: `brokers of the topic: ${names.join(', ') || 'none'}`,
  });
}

export async function writeTopic(
  wire: AdminWire,
  address: string,
  change: TopicChange,
): Promise<void> {
  await wire.call(address, RequestCode.UPDATE_AND_CREATE_TOPIC, {
    topic: change.topic,
    defaultTopic: Topic.AUTO_CREATE_KEY,
    readQueueNums: change.readQueues,
    writeQueueNums: change.writeQueues,
    perm: change.perm,
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: change.sysFlag,
    order: change.isOrder,
    attributes: change.attributes,
  });
}

/** Bounds of each queue, sorted by broker and queue. */
export async function topicBounds(
  wire: AdminWire,
  topic: string,
): Promise<(MessageQueue & TopicQueueOffset)[]> {
  const route = await routeOf(wire, topic);
  const rows: (MessageQueue & TopicQueueOffset)[] = [];
  for (const { brokerName } of route.brokerDatas) {
    const address = await brokerOf(wire, topic, brokerName);
    const answer = await wire.call(address, RequestCode.GET_TOPIC_STATS_INFO, { topic });
    rows.push(...decodeTopicStats(answer.body));
  }
  return rows.sort(byQueue);
}

export const byQueue = (left: MessageQueue, right: MessageQueue): number =>
  left.topic.localeCompare(right.topic) ||
  left.brokerName.localeCompare(right.brokerName) ||
  left.queueId - right.queueId;

export async function topicTable(
  wire: AdminWire,
  address: string,
): Promise<Record<string, TopicConfig>> {
  const answer = await wire.call(address, RequestCode.GET_ALL_TOPIC_CONFIG);
  return decodeTopicConfigTable(answer.body).topicConfigTable;
}

/** Topics of the broker's own that users do not make. */
export async function systemTopics(wire: AdminWire, address: string): Promise<Set<string>> {
  const answer = await wire.call(address, RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER);
  return new Set(decodeTopicList(answer.body));
}

/** Groups that consume a topic: online ones and those with offsets. */
export async function groupsOf(wire: AdminWire, topic: string): Promise<string[]> {
  const route = await routeOf(wire, topic);
  const groups = new Set<string>();
  for (const address of route.brokerDatas.map((data) => masterOf(route, data.brokerName))) {
    if (address === undefined) continue;
    const answer = await wire.json(address, RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, { topic });
    for (const group of (answer['groupList'] as unknown[]) ?? []) groups.add(String(group));
  }
  return [...groups].sort();
}

/** Removes a topic from brokers, name servers and the order table; a missing one is no error. */
export async function removeTopic(
  wire: AdminWire,
  topic: string,
  brokers: readonly string[],
): Promise<void> {
  for (const address of brokers) {
    await orMissing(wire.call(address, RequestCode.DELETE_TOPIC_IN_BROKER, { topic }));
  }
  await orMissing(wire.tellAll(RequestCode.DELETE_TOPIC_IN_NAMESRV, { topic }));
  const key = { namespace: ORDER_NAMESPACE, key: topic };
  await orMissing(wire.tellAll(RequestCode.DELETE_KV_CONFIG, key));
}

async function orMissing(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (reason) {
    // Expected: it is gone already.
    if (remoteCode(reason) !== ResponseCode.TOPIC_NOT_EXIST) throw reason;
  }
}

/** One value of a name server's table; undefined when there is none. */
export async function readKv(
  wire: AdminWire,
  namespace: string,
  key: string,
): Promise<string | undefined> {
  try {
    const answer = await wire.ask(RequestCode.GET_KV_CONFIG, { namespace, key });
    return answer.ext['value'];
  } catch (reason) {
    if (remoteCode(reason) === ResponseCode.QUERY_NOT_FOUND) return undefined;
    throw reason;
  }
}
