// Consumer groups as an administrator sees them: settings, members, progress, offsets.
// Source: behaviour of mqadmin 4.9.7 and 5.5.0.
import { DrError } from '../../base/index.ts';
import {
  type ConsumeQueueOffset,
  decodeConsumeStats,
  decodeSubscriptionGroupTable,
  type MessageQueue,
  newSubscriptionGroup,
  parseJsonObject,
  parseMessageQueueKey,
  RequestCode,
  ResponseCode,
  type SubscriptionGroupConfig,
} from '../../protocol/index.ts';
import { remoteCode } from '../peer-client.ts';
import { queueBound } from '../queue-bounds.ts';
import { brokerAddresses, masterOf } from '../route-view.ts';
import { brokerOf, byQueue, routeOf } from './topic-calls.ts';
import type { AdminWire, JsonMap } from './wire.ts';

export const RETRY_PREFIX = '%RETRY%';
export const DEAD_PREFIX = '%DLQ%';

export interface Connection {
  clientId: string;
  clientAddr: string;
  language: string;
  version: number;
}

export interface ConsumerMembers {
  connections: Connection[];
  consumeType: string;
  messageModel: string;
  consumeFromWhere: string;
  /** Topic -> expression. */
  subscriptions: Record<string, { subString: string; expressionType: string }>;
}

export type Progress = MessageQueue & ConsumeQueueOffset & { diff: number; inflight: number };

export interface GroupProgress {
  queues: Progress[];
  consumeTps: number;
  diffTotal: number;
  inflightTotal: number;
}

export async function groupTable(
  wire: AdminWire,
  address: string,
): Promise<Record<string, SubscriptionGroupConfig>> {
  const answer = await wire.call(address, RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG);
  return decodeSubscriptionGroupTable(answer.body).subscriptionGroupTable;
}

export async function writeGroup(
  wire: AdminWire,
  address: string,
  group: string,
  changes: Partial<SubscriptionGroupConfig>,
): Promise<void> {
  const body = JSON.stringify({ ...newSubscriptionGroup(group), ...changes });
  await wire.call(address, RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, {}, body);
}

/**
 * Brokers that know a group: by its retry topic, or, before its first consumer, by their tables.
 * @throws DrError NOT_FOUND for an unknown group
 */
export async function brokersOfGroup(wire: AdminWire, group: string): Promise<string[]> {
  try {
    return brokerAddresses(await routeOf(wire, RETRY_PREFIX + group));
  } catch (reason) {
    if (!DrError.is(reason, 'NO_ROUTE')) throw reason;
  }
  const found: string[] = [];
  for (const { address } of await wire.masters()) {
    if ((await groupTable(wire, address))[group] !== undefined) found.push(address);
  }
  if (found.length > 0) return found;
  throw new DrError('NOT_FOUND', `no group ${group}`, {
    hint: 'dr admin consumerProgress lists those that consumed; dr admin updateSubGroup makes one',
  });
}

const asText = (value: unknown): string => (value === undefined ? '' : String(value));

export function readConnections(value: unknown): Connection[] {
  const rows = Array.isArray(value) ? (value as JsonMap[]) : [];
  return rows
    .map((row) => ({
      clientId: asText(row['clientId']),
      clientAddr: asText(row['clientAddr'] ?? row['remoteIP']),
      language: asText(row['language']),
      version: Number(row['version'] ?? 0),
    }))
    .sort((left, right) => left.clientId.localeCompare(right.clientId));
}

/** Live members, undefined when nobody is online. */
export async function groupMembers(
  wire: AdminWire,
  address: string,
  group: string,
): Promise<ConsumerMembers | undefined> {
  const code = RequestCode.GET_CONSUMER_CONNECTION_LIST;
  try {
    const found = await wire.json(address, code, { consumerGroup: group });
    const table = (found['subscriptionTable'] ?? {}) as Record<string, JsonMap>;
    const subscriptions = Object.entries(table).map(([topic, row]) => {
      const expressionType = asText(row['expressionType'] ?? 'TAG');
      return [topic, { subString: asText(row['subString']), expressionType }] as const;
    });
    return {
      connections: readConnections(found['connectionSet']),
      consumeType: asText(found['consumeType']),
      messageModel: asText(found['messageModel']),
      consumeFromWhere: asText(found['consumeFromWhere']),
      subscriptions: Object.fromEntries(subscriptions),
    };
  } catch (reason) {
    if (remoteCode(reason) === ResponseCode.CONSUMER_NOT_ONLINE) return undefined;
    throw reason;
  }
}

/** How far a group is, over all its brokers. */
export async function groupProgress(
  wire: AdminWire,
  group: string,
  topic?: string,
): Promise<GroupProgress> {
  const queues: Progress[] = [];
  let consumeTps = 0;
  for (const address of await brokersOfGroup(wire, group)) {
    const ext = { consumerGroup: group, topic };
    const answer = await wire.call(address, RequestCode.GET_CONSUME_STATS, ext);
    consumeTps += Number(parseJsonObject(answer.body)['consumeTps'] ?? 0);
    queues.push(...decodeConsumeStats(answer.body).map(withDiff));
  }
  const diffTotal = queues.reduce((sum, row) => sum + row.diff, 0);
  const inflightTotal = queues.reduce((sum, row) => sum + row.inflight, 0);
  return { queues: queues.sort(byQueue), consumeTps, diffTotal, inflightTotal };
}

function withDiff(row: MessageQueue & ConsumeQueueOffset): Progress {
  const inflight = row.pullOffset === 0 ? 0 : Math.max(0, row.pullOffset - row.consumerOffset);
  return { ...row, diff: row.brokerOffset - row.consumerOffset, inflight };
}

export interface OffsetReset {
  group: string;
  topic: string;
  /** ms; -1 = the newest message. */
  timestampMs: number;
  isForced: boolean;
  /** One queue to one place (5.x). */
  queueId?: number | undefined;
  offset?: number | undefined;
}

export interface QueueReset extends MessageQueue {
  offset: number;
}

/**
 * Moves a group on one broker: the broker does it (5.2 and ours), or tells the live members (4.9); with
 * nobody online at a 4.9 broker the offsets are written from here.
 */
export async function resetOffsets(
  wire: AdminWire,
  address: string,
  reset: OffsetReset,
): Promise<QueueReset[]> {
  const ext = {
    topic: reset.topic,
    group: reset.group,
    timestamp: reset.timestampMs,
    isForce: reset.isForced,
    queueId: reset.queueId,
    offset: reset.offset,
  };
  try {
    const answer = await wire.json(address, RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, ext);
    const table = (answer['offsetTable'] ?? {}) as Record<string, unknown>;
    return Object.entries(table)
      .map(([key, offset]) => ({ ...parseMessageQueueKey(key), offset: Number(offset) }))
      .sort(byQueue);
  } catch (reason) {
    if (remoteCode(reason) !== ResponseCode.CONSUMER_NOT_ONLINE) throw reason;
    return await resetFromHere(wire, address, reset);
  }
}

async function resetFromHere(
  wire: AdminWire,
  address: string,
  reset: OffsetReset,
): Promise<QueueReset[]> {
  const ext = { consumerGroup: reset.group, topic: reset.topic };
  const answer = await wire.call(address, RequestCode.GET_CONSUME_STATS, ext);
  const done: QueueReset[] = [];
  for (const row of decodeConsumeStats(answer.body).sort(byQueue)) {
    const found = await offsetAt(wire, address, row, reset.timestampMs);
    const offset = reset.isForced ? found : Math.min(found, row.consumerOffset);
    await writeOffset(wire, address, reset.group, { ...row, offset });
    const { topic, brokerName, queueId } = row;
    done.push({ topic, brokerName, queueId, offset });
  }
  return done;
}

/** Queue offset of a time; -1 = the end. */
export async function offsetAt(
  wire: AdminWire,
  address: string,
  queue: MessageQueue,
  timestampMs: number,
): Promise<number> {
  if (timestampMs < 0) return queueBound(wire.peer, address, queue, 'max');
  const { topic, queueId } = queue;
  const ext = { topic, queueId, timestamp: timestampMs };
  const answer = await wire.call(address, RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, ext);
  return Number(answer.ext['offset']);
}

export async function writeOffset(
  wire: AdminWire,
  address: string,
  group: string,
  row: QueueReset,
): Promise<void> {
  const { topic, queueId, offset } = row;
  const ext = { consumerGroup: group, topic, queueId, commitOffset: offset };
  await wire.call(address, RequestCode.UPDATE_CONSUMER_OFFSET, ext);
}

/** Copies the offsets of one topic from group to group, as mqadmin does: read there, written here. */
export async function copyOffsets(
  wire: AdminWire,
  groups: { from: string; to: string },
  topic: string,
): Promise<QueueReset[]> {
  const { queues } = await groupProgress(wire, groups.from, topic);
  const done: QueueReset[] = [];
  for (const row of queues.filter((queue) => queue.topic === topic)) {
    const { brokerName, queueId, consumerOffset: offset } = row;
    const address = await brokerOf(wire, topic, brokerName);
    await writeOffset(wire, address, groups.to, { topic, brokerName, queueId, offset });
    done.push({ topic, brokerName, queueId, offset });
  }
  return done;
}

/** First master that knows the group's members, with them. */
export async function findMembers(
  wire: AdminWire,
  group: string,
): Promise<{ address: string; members: ConsumerMembers } | undefined> {
  for (const address of await brokersOfGroup(wire, group)) {
    const members = await groupMembers(wire, address, group);
    if (members) return { address, members };
  }
  return undefined;
}

/** What one member says of itself: properties, threads, queues, rates. */
export function runningInfo(
  wire: AdminWire,
  address: string,
  who: { group: string; clientId: string; withStack: boolean },
): Promise<JsonMap> {
  const ext = { consumerGroup: who.group, clientId: who.clientId, jstackEnable: who.withStack };
  return wire.json(address, RequestCode.GET_CONSUMER_RUNNING_INFO, ext);
}

/** Live producers of a group on the first broker of the topic that knows any. */
export async function producersOf(
  wire: AdminWire,
  topic: string,
  group: string,
): Promise<Connection[]> {
  const route = await routeOf(wire, topic);
  for (const { brokerName } of route.brokerDatas) {
    const address = masterOf(route, brokerName);
    if (address === undefined) continue;
    const code = RequestCode.GET_PRODUCER_CONNECTION_LIST;
    const rows = await wire
      .json(address, code, { producerGroup: group })
      .then((found) => readConnections(found['connectionSet']), noProducers);
    if (rows.length > 0) return rows;
  }
  throw new DrError('NOT_FOUND', `no producer of group ${group} is online for topic ${topic}`, {
    hint: 'dr admin producer -b BROKER lists every producer group of a broker',
  });
}

/** A broker answers 1 for a group it does not know. */
function noProducers(reason: unknown): Connection[] {
  if (remoteCode(reason) === ResponseCode.SYSTEM_ERROR) return [];
  throw reason;
}
