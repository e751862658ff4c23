// Subscription groups: subscriptionGroup.json. A group that is not there yet is created at its first
// request when autoCreateSubscriptionGroup allows it. Durable on return.
// Source: RocketMQ SubscriptionGroupManager, behaviour only.
import type { Clock } from '../../base/index.ts';
import {
  bumpDataVersion,
  type DataVersion,
  newDataVersion,
  readDataVersion,
  readSubscriptionGroup,
  type SubscriptionGroupConfig,
} from '../../protocol/index.ts';
import { asObject, type JsonObject, readJsonFile, writeJsonFile } from './json-file.ts';

export class GroupTable {
  readonly #file: string;
  readonly #clock: Clock;
  readonly #groups = new Map<string, SubscriptionGroupConfig>();
  #forbidden: JsonObject;
  readonly #version: DataVersion;

  constructor(file: string, clock: Clock) {
    this.#file = file;
    this.#clock = clock;
    const saved = readJsonFile(file);
    this.#version = saved ? readDataVersion(saved['dataVersion']) : newDataVersion(clock.nowMs());
    this.#forbidden = asObject(saved?.['forbiddenTable']);
    for (const [name, value] of Object.entries(asObject(saved?.['subscriptionGroupTable']))) {
      this.#groups.set(name, { ...readSubscriptionGroup(value, name), groupName: name });
    }
  }

  find(name: string): SubscriptionGroupConfig | undefined {
    return this.#groups.get(name);
  }

  all(): Iterable<SubscriptionGroupConfig> {
    return this.#groups.values();
  }

  /** Adds or replaces groups; durable on return. Equal configurations change nothing. */
  put(...configs: SubscriptionGroupConfig[]): void {
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
  replaceAll(configs: SubscriptionGroupConfig[], keep: (name: string) => boolean): void {
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

  #holds(config: SubscriptionGroupConfig): boolean {
    const present = this.#groups.get(config.groupName);
    return present !== undefined && JSON.stringify(present) === JSON.stringify(config);
  }

  #commit(): void {
    bumpDataVersion(this.#version, this.#clock.nowMs(), this.#version.stateVersion);
    writeJsonFile(this.#file, this.content());
  }
}
