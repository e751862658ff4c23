// Subscription group configuration and its table.
// Source: SubscriptionGroupConfig, SubscriptionGroupWrapper.
import { parseJsonObject } from '../wire/index.ts';
import { asObject, booleanOr, mapValues, numberOr, objectOr, textMap, textOr } from './fields.ts';
import { type DataVersion, readDataVersion } from './topic.ts';

export interface SubscriptionGroupConfig {
  attributes: Record<string, string>;
  brokerId: number;
  consumeBroadcastEnable: boolean;
  consumeEnable: boolean;
  consumeFromMinEnable: boolean;
  consumeMessageOrderly: boolean;
  consumeTimeoutMinute: number;
  groupName: string;
  /** Kept as it came: only clients of 5.x interpret it. */
  groupRetryPolicy: Record<string, unknown>;
  groupSysFlag: number;
  notifyConsumerIdsChangedEnable: boolean;
  retryMaxTimes: number;
  retryQueueNums: number;
  whichBrokerWhenConsumeSlowly: number;
}

/** Body of GET_ALL_SUBSCRIPTIONGROUP_CONFIG and content of subscriptionGroup.json. */
export interface SubscriptionGroupTable {
  dataVersion: DataVersion;
  forbiddenTable: Record<string, Record<string, number>>;
  subscriptionGroupTable: Record<string, SubscriptionGroupConfig>;
}

export const newSubscriptionGroup = (groupName: string): SubscriptionGroupConfig =>
  readSubscriptionGroup({}, groupName);

export function readSubscriptionGroup(value: unknown, name = ''): SubscriptionGroupConfig {
  const fields = asObject(value, 'SubscriptionGroupConfig');
  const flag = (key: string, fallback: boolean) => booleanOr(fields[key], fallback);
  const count = (key: string, fallback: number) => numberOr(fields[key], fallback);
  return {
    attributes: textMap(fields['attributes']),
    brokerId: count('brokerId', 0),
    consumeBroadcastEnable: flag('consumeBroadcastEnable', true),
    consumeEnable: flag('consumeEnable', true),
    consumeFromMinEnable: flag('consumeFromMinEnable', true),
    consumeMessageOrderly: flag('consumeMessageOrderly', false),
    consumeTimeoutMinute: count('consumeTimeoutMinute', 15),
    groupName: textOr(fields['groupName'], name),
    groupRetryPolicy: { type: 'CUSTOMIZED', ...objectOr(fields['groupRetryPolicy']) },
    groupSysFlag: count('groupSysFlag', 0),
    notifyConsumerIdsChangedEnable: flag('notifyConsumerIdsChangedEnable', true),
    retryMaxTimes: count('retryMaxTimes', 16),
    retryQueueNums: count('retryQueueNums', 1),
    whichBrokerWhenConsumeSlowly: count('whichBrokerWhenConsumeSlowly', 1),
  };
}

export function readSubscriptionGroupTable(value: unknown): SubscriptionGroupTable {
  const fields = asObject(value, 'SubscriptionGroupTable');
  return {
    dataVersion: readDataVersion(fields['dataVersion']),
    forbiddenTable: mapValues(fields['forbiddenTable'], (row) =>
      mapValues(row, (bits) => numberOr(bits, 0)),
    ),
    subscriptionGroupTable: mapValues(fields['subscriptionGroupTable'], readSubscriptionGroup),
  };
}

/** @throws DrError PROTOCOL */
export const decodeSubscriptionGroupTable = (
  body: Uint8Array | string | undefined,
): SubscriptionGroupTable => readSubscriptionGroupTable(parseJsonObject(body));
