// Subscription groups: subscriptionGroup.json. A group that is not there yet is created at its first
// request when autoCreateSubscriptionGroup allows it. Durable on return.
// Source: RocketMQ SubscriptionGroupManager, behaviour only.
import type { Clock } from '../../base/index.ts';
import {
  type DataVersion,
  firstDataVersion,
  nextDataVersion,
  readDataVersion,
} from './data-version.ts';
import {
  asBoolean,
  asNumber,
  asObject,
  type JsonObject,
  readJsonFile,
  writeJsonFile,
} from './json-file.ts';

export interface GroupConfig {
  attributes: Record<string, unknown>;
  brokerId: number;
  consumeBroadcastEnable: boolean;
  consumeEnable: boolean;
  consumeFromMinEnable: boolean;
  consumeMessageOrderly: boolean;
  consumeTimeoutMinute: number;
  groupName: string;
  groupRetryPolicy: unknown;
  groupSysFlag: number;
  notifyConsumerIdsChangedEnable: boolean;
  retryMaxTimes: number;
  retryQueueNums: number;
  whichBrokerWhenConsumeSlowly: number;
}

/** A group with Apache's defaults. */
export const groupConfig = (groupName: string): GroupConfig => readGroupConfig(groupName, {});

/** Reads one group out of parsed JSON; missing fields take Apache's defaults. */
export function readGroupConfig(groupName: string, value: unknown): GroupConfig {
  const fields = asObject(value);
  return {
    attributes: asObject(fields['attributes']),
    brokerId: asNumber(fields['brokerId'], 0),
    consumeBroadcastEnable: asBoolean(fields['consumeBroadcastEnable'], true),
    consumeEnable: asBoolean(fields['consumeEnable'], true),
    consumeFromMinEnable: asBoolean(fields['consumeFromMinEnable'], true),
    consumeMessageOrderly: asBoolean(fields['consumeMessageOrderly'], false),
    consumeTimeoutMinute: asNumber(fields['consumeTimeoutMinute'], 15),
    groupName,
    groupRetryPolicy: fields['groupRetryPolicy'] ?? { type: 'CUSTOMIZED' },
    groupSysFlag: asNumber(fields['groupSysFlag'], 0),
    notifyConsumerIdsChangedEnable: asBoolean(fields['notifyConsumerIdsChangedEnable'], true),
    retryMaxTimes: asNumber(fields['retryMaxTimes'], 16),
    retryQueueNums: asNumber(fields['retryQueueNums'], 1),
    whichBrokerWhenConsumeSlowly: asNumber(fields['whichBrokerWhenConsumeSlowly'], 1),
  };
}

export class GroupTable {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #groups = new Map<string, GroupConfig>();
  #forbidden: JsonObject;
  #version: DataVersion;

  constructor(file: string, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
    const saved = readJsonFile(file);
    this.#version = saved ? readDataVersion(saved['dataVersion']) : firstDataVersion(clock.nowMs());
    this.#forbidden = asObject(saved?.['forbiddenTable']);
    for (const [name, value] of Object.entries(asObject(saved?.['subscriptionGroupTable']))) {
      this.#groups.set(name, readGroupConfig(name, value));
    }
  }

  find(name: string): GroupConfig | undefined {
    return this.#groups.get(name);
  }

  all(): Iterable<GroupConfig> {
    return this.#groups.values();
  }

  /** Adds or replaces groups; durable on return. Equal configurations change nothing. */
  put(...configs: GroupConfig[]): void {
    const changed = configs.filter((config) => !this.#holds(config));
    for (const config of changed) this.#groups.set(config.groupName, config);
    if (changed.length > 0) this.#commit();
  }

  remove(name: string): boolean {
    if (!this.#groups.delete(name)) return false;
    this.#commit();
    return true;
  }

  /** Makes the table exactly `configs` plus the present ones that `keep` names. */
  replaceAll(configs: GroupConfig[], keep: (name: string) => boolean): void {
    const wanted = new Set(configs.map((config) => config.groupName));
    const gone = [...this.#groups.keys()].filter((name) => !wanted.has(name) && !keep(name));
    const changed = configs.filter((config) => !this.#holds(config));
    if (gone.length + changed.length === 0) return;
    for (const name of gone) this.#groups.delete(name);
    for (const config of changed) this.#groups.set(config.groupName, config);
    this.#commit();
  }

  content(): JsonObject {
    return {
      dataVersion: this.#version,
      forbiddenTable: this.#forbidden,
      subscriptionGroupTable: Object.fromEntries(this.#groups),
    };
  }

  #holds(config: GroupConfig): boolean {
    const present = this.#groups.get(config.groupName);
    return present !== undefined && JSON.stringify(present) === JSON.stringify(config);
  }

  #commit(): void {
    this.#version = nextDataVersion(this.#version, this.#clock.nowMs());
    writeJsonFile(this.#file, this.content());
  }
}
