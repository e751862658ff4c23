// Offset tables: consumerOffset.json (request 43), delayOffset.json (45), topic and consume statistics.
// consumerOffset keys are `topic@group`, the inner keys queue ids, quoted when we write.
// Source: ConsumerOffsetSerializeWrapper, DelayOffsetSerializeWrapper, TopicStatsTable, ConsumeStats.
import { parseJsonObject } from '../wire/index.ts';
import { type MessageQueue, messageQueueKey, parseMessageQueueKey } from './client.ts';
import { mapValues, numberOr, objectOr } from './fields.ts';
import { type DataVersion, readDataVersion } from './topic.ts';

export interface ConsumerOffsetTable {
  dataVersion: DataVersion;
  /** `topic@group` -> queue id -> next offset to consume. */
  offsetTable: Record<string, Record<string, number>>;
}

export interface DelayOffsetTable {
  dataVersion: DataVersion;
  /** Delay level -> next offset of its queue. */
  offsetTable: Record<string, number>;
}

const numbers = (value: unknown): Record<string, number> =>
  mapValues(value, (offset) => numberOr(offset, 0));

/** @throws DrError PROTOCOL */
export function decodeConsumerOffsets(body: Uint8Array | string | undefined): ConsumerOffsetTable {
  const fields = parseJsonObject(body);
  return {
    dataVersion: readDataVersion(fields['dataVersion']),
    offsetTable: mapValues(fields['offsetTable'], numbers),
  };
}

/** @throws DrError PROTOCOL */
export function decodeDelayOffsets(body: Uint8Array | string | undefined): DelayOffsetTable {
  const fields = parseJsonObject(body);
  return {
    dataVersion: readDataVersion(fields['dataVersion']),
    offsetTable: numbers(fields['offsetTable']),
  };
}

export interface TopicQueueOffset {
  lastUpdateTimestamp: number;
  maxOffset: number;
  minOffset: number;
}

/** Body of GET_TOPIC_STATS_INFO as a list. @throws DrError PROTOCOL */
export function decodeTopicStats(
  body: Uint8Array | string | undefined,
): (MessageQueue & TopicQueueOffset)[] {
  return queueEntries(body).map(([queue, row]) => ({
    ...queue,
    lastUpdateTimestamp: numberOr(row['lastUpdateTimestamp'], 0),
    maxOffset: numberOr(row['maxOffset'], 0),
    minOffset: numberOr(row['minOffset'], 0),
  }));
}

export interface ConsumeQueueOffset {
  brokerOffset: number;
  consumerOffset: number;
  lastTimestamp: number;
  pullOffset: number;
}

/** Body of GET_CONSUME_STATS as a list. @throws DrError PROTOCOL */
export function decodeConsumeStats(
  body: Uint8Array | string | undefined,
): (MessageQueue & ConsumeQueueOffset)[] {
  return queueEntries(body).map(([queue, row]) => ({
    ...queue,
    brokerOffset: numberOr(row['brokerOffset'], 0),
    consumerOffset: numberOr(row['consumerOffset'], 0),
    lastTimestamp: numberOr(row['lastTimestamp'], 0),
    pullOffset: numberOr(row['pullOffset'], 0),
  }));
}

function queueEntries(
  body: Uint8Array | string | undefined,
): [queue: MessageQueue, row: Record<string, unknown>][] {
  const table = objectOr(parseJsonObject(body)['offsetTable']);
  return Object.entries(table).map(([key, row]) => [parseMessageQueueKey(key), objectOr(row)]);
}

/** A map with queues as keys, ready for toQueueKeyedJson. */
export const queueTable = <T>(rows: Iterable<readonly [MessageQueue, T]>): Record<string, T> =>
  Object.fromEntries([...rows].map(([queue, row]) => [messageQueueKey(queue), row]));
