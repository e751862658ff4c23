// Subscription groups: subscriptionGroup.json. A group that is not there yet is created at its first
// request when autoCreateSubscriptionGroup allows it; that alone is in the file only soon after, everything
// else is durable on return.
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
import { asNumber, asObject, type JsonObject, readJsonFile } from './json-file.ts';
import { SavedTable } from './saved-table.ts';

/** 1 << PermName.INDEX_PERM_READ. */
const READ_FORBIDDEN = 1 << 2;

export class GroupTable {
  readonly #saved: SavedTable;
  readonly #clock: Clock;
  readonly #groups = new Map<string, SubscriptionGroupConfig>();
  /** Group -> topic -> Apache's permission bits; bit 2 = may not read. */
  #forbidden: Record<string, Record<string, number>>;
  readonly #version: DataVersion;

  constructor(file: string, clock: Clock) {
    this.#saved = new SavedTable(file, () => this.content());
    this.#clock = clock;
    const saved = readJsonFile(file);
    this.#version = saved ? readDataVersion(saved['dataVersion']) : newDataVersion(clock.nowMs());
    this.#forbidden = readForbidden(saved?.['forbiddenTable']);
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
    else this.save();
  }

  /** A new group of a client; in the file at the next save. Lost in a crash, it comes with its client. */
  add(config: SubscriptionGroupConfig): void {
    this.#groups.set(config.groupName, config);
    bumpDataVersion(this.#version, this.#clock.nowMs(), this.#version.stateVersion);
    this.#saved.touch();
  }

  /** Writes what add() left; durable on return. */
  save(): void {
    this.#saved.catchUp();
  }

  /** When and how the file is written. */
  get file(): SavedTable {
    return this.#saved;
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

  isForbidden(group: string, topic: string): boolean {
    return ((this.#forbidden[group]?.[topic] ?? 0) & READ_FORBIDDEN) !== 0;
  }

  /** Forbids or allows a group to read a topic; durable on return. */
  forbid(group: string, topic: string, isForbidden: boolean): void {
    if (this.isForbidden(group, topic) === isForbidden) {
      this.save();
      return;
    }
    const topics = this.#forbidden[group] ?? {};
    const bits = (topics[topic] ?? 0) ^ READ_FORBIDDEN;
    const { [topic]: _, ...others } = topics;
    const changed = bits === 0 ? others : { ...others, [topic]: bits };
    const { [group]: __, ...groups } = this.#forbidden;
    const isEmpty = Object.keys(changed).length === 0;
    this.#forbidden = isEmpty ? groups : { ...groups, [group]: changed };
    this.#commit();
  }

  /** Takes over what the active side forbids. */
  replaceForbidden(value: unknown): void {
    const wanted = readForbidden(value);
    if (JSON.stringify(wanted) === JSON.stringify(this.#forbidden)) return;
    this.#forbidden = wanted;
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
    this.#saved.saveNow();
  }
}

function readForbidden(value: unknown): Record<string, Record<string, number>> {
  const rows = Object.entries(asObject(value)).map(([group, topics]) => [
    group,
    Object.fromEntries(
      Object.entries(asObject(topics)).map(([topic, bits]) => [topic, asNumber(bits, 0)]),
    ),
  ]);
  return Object.fromEntries(rows) as Record<string, Record<string, number>>;
}
