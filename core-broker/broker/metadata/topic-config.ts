// One topic as topics.json, registrations and code 21 carry it.
import { asBoolean, asNumber, asObject, type JsonObject } from './json-file.ts';

export const PERM = { READ: 4, WRITE: 2, INHERIT: 1 } as const;

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

/** A topic with equal read and write queues. */
export function topicConfig(topicName: string, queues: number, perm: number): TopicConfig {
  return {
    attributes: {},
    order: false,
    perm,
    readQueueNums: queues,
    topicFilterType: 'SINGLE_TAG',
    topicName,
    topicSysFlag: 0,
    writeQueueNums: queues,
  };
}

/** Reads one topic out of parsed JSON; missing fields take Apache's defaults. */
export function readTopicConfig(topicName: string, value: unknown): TopicConfig {
  const fields: JsonObject = asObject(value);
  const attributes = Object.entries(asObject(fields['attributes'])).map(([key, text]) => [
    key,
    String(text),
  ]);
  return {
    attributes: Object.fromEntries(attributes),
    order: asBoolean(fields['order'], false),
    perm: asNumber(fields['perm'], PERM.READ | PERM.WRITE),
    readQueueNums: asNumber(fields['readQueueNums'], 16),
    topicFilterType: String(fields['topicFilterType'] ?? 'SINGLE_TAG'),
    topicName,
    topicSysFlag: asNumber(fields['topicSysFlag'], 0),
    writeQueueNums: asNumber(fields['writeQueueNums'], 16),
  };
}

export const isReadable = (perm: number): boolean => (perm & PERM.READ) !== 0;
export const isWritable = (perm: number): boolean => (perm & PERM.WRITE) !== 0;
