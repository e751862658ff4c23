// Topic configuration, its table and the DataVersion that says whether a table changed.
// Invariant: what is written is strict JSON, fields as RocketMQ 5.x names them; 4.9 ignores the new ones.
// Source: TopicConfig, TopicConfigSerializeWrapper, DataVersion.
import { Perm } from '../constants.ts';
import { parseJsonObject } from '../wire/index.ts';
import { asObject, booleanOr, mapValues, numberOr, objectOr, textMap, textOr } from './fields.ts';

export interface DataVersion {
  counter: number;
  /** Fencing token for name servers: the larger one wins an address conflict. */
  stateVersion: number;
  timestamp: number;
}

export interface TopicConfig {
  attributes: Record<string, string>;
  order: boolean;
  perm: number;
  readQueueNums: number;
  topicFilterType: string;
  topicName: string;
  topicSysFlag: number;
  writeQueueNums: number;
}

/** Body of GET_ALL_TOPIC_CONFIG, content of topics.json and part of a registration. */
export interface TopicConfigTable {
  dataVersion: DataVersion;
  topicConfigTable: Record<string, TopicConfig>;
  /** Ours, only when there are any: deleted topic -> end of the log at that moment. */
  drDeletedTopics?: Record<string, number>;
}

export const newDataVersion = (nowMs: number): DataVersion => ({
  counter: 0,
  stateVersion: 0,
  timestamp: nowMs,
});

/** The next version, in place: every change of a table calls it once. */
export function bumpDataVersion(version: DataVersion, nowMs: number, stateVersion = 0): void {
  version.counter++;
  version.stateVersion = stateVersion;
  version.timestamp = nowMs;
}

export const sameDataVersion = (left: DataVersion, right: DataVersion): boolean =>
  left.counter === right.counter &&
  left.stateVersion === right.stateVersion &&
  left.timestamp === right.timestamp;

export function readDataVersion(value: unknown): DataVersion {
  const fields = objectOr(value);
  return {
    counter: numberOr(fields['counter'], 0),
    stateVersion: numberOr(fields['stateVersion'], 0),
    timestamp: numberOr(fields['timestamp'], 0),
  };
}

/** Topic with the defaults of RocketMQ. */
export const newTopicConfig = (
  topicName: string,
  queues: number,
  perm: number = Perm.READ | Perm.WRITE,
): TopicConfig => ({
  attributes: {},
  order: false,
  perm,
  readQueueNums: queues,
  topicFilterType: 'SINGLE_TAG',
  topicName,
  topicSysFlag: 0,
  writeQueueNums: queues,
});

export function readTopicConfig(value: unknown, name = ''): TopicConfig {
  const fields = asObject(value, 'TopicConfig');
  return {
    attributes: textMap(fields['attributes']),
    order: booleanOr(fields['order'], false),
    perm: numberOr(fields['perm'], Perm.READ | Perm.WRITE),
    readQueueNums: numberOr(fields['readQueueNums'], 16),
    topicFilterType: textOr(fields['topicFilterType'], 'SINGLE_TAG'),
    topicName: textOr(fields['topicName'], name),
    topicSysFlag: numberOr(fields['topicSysFlag'], 0),
    writeQueueNums: numberOr(fields['writeQueueNums'], 16),
  };
}

export function readTopicConfigTable(value: unknown): TopicConfigTable {
  const fields = asObject(value, 'TopicConfigTable');
  return {
    dataVersion: readDataVersion(fields['dataVersion']),
    topicConfigTable: mapValues(fields['topicConfigTable'], readTopicConfig),
    ...readDeleted(fields['drDeletedTopics']),
  };
}

function readDeleted(value: unknown): { drDeletedTopics?: Record<string, number> } {
  if (typeof value !== 'object' || value === null) return {};
  const rows = Object.entries(value).filter(([, end]) => Number.isSafeInteger(end) && end > 0);
  return { drDeletedTopics: Object.fromEntries(rows) };
}

/** @throws DrError PROTOCOL */
export const decodeTopicConfigTable = (body: Uint8Array | string | undefined): TopicConfigTable =>
  readTopicConfigTable(parseJsonObject(body));

/** With the empty mapping tables that 5.x slaves read. */
export const encodeTopicConfigTable = (table: TopicConfigTable): string =>
  JSON.stringify({
    ...table,
    mappingDataVersion: newDataVersion(0),
    topicQueueMappingDetailMap: {},
    topicQueueMappingInfoMap: {},
  });
