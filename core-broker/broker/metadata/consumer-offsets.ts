// Consumer offsets: consumerOffset.json, `topic@group` -> queue -> next offset to read.
// Commits overwrite without a question, as Apache does, except that a negative one is ignored: ali-ons
// commits -1 for queues it never read, and storing it would make the group skip messages.
// Groups that consume at the standby have a table and a file of their own, which no sync touches.
// After a failover a consumer may stand behind the end of what was copied; see offset-bounds.ts.
// Memory first; the file is written by save() every 5 s and at the end: at least once, never skipping.
import type { Clock } from '../../base/index.ts';
import {
  bumpDataVersion,
  type DataVersion,
  newDataVersion,
  readDataVersion,
} from '../../protocol/index.ts';
import { asNumber, asObject, type JsonObject, readJsonFile } from './json-file.ts';
import { OffsetBounds } from './offset-bounds.ts';
import { SavedTable } from './saved-table.ts';

export interface OffsetKey {
  topic: string;
  group: string;
  queueId: number;
}

type OffsetMap = Map<string, Map<number, number>>;

/** Apache bumps the version every so many commits. */
const COMMITS_PER_VERSION = 500;

export class ConsumerOffsets {
  readonly #saved: SavedTable;
  readonly #savedStandby: SavedTable;
  readonly #clock: Clock;
  readonly #standbyGroups = new Set<string>();
  /** One-shot targets set by a reset; the next pull of the queue gets it with code 21. */
  readonly #resets: OffsetMap = new Map();
  readonly #bounds: OffsetBounds;
  readonly #standby: OffsetMap;
  #main: OffsetMap;
  readonly #version: DataVersion;
  #commits = 0;

  constructor(files: { main: string; standby: string; bounds: string }, clock: Clock) {
    this.#saved = new SavedTable(files.main, () => this.#mainContent());
    this.#savedStandby = new SavedTable(files.standby, () => ({
      offsetTable: writeOffsetTable(this.#standby),
    }));
    this.#clock = clock;
    this.#bounds = new OffsetBounds(files.bounds);
    const saved = readJsonFile(files.main);
    this.#version = saved?.['dataVersion']
      ? readDataVersion(saved['dataVersion'])
      : newDataVersion(clock.nowMs());
    this.#main = readOffsetTable(saved?.['offsetTable']);
    this.#standby = readOffsetTable(readJsonFile(files.standby)?.['offsetTable']);
  }

  setStandbyGroups(groups: Iterable<string>): void {
    this.#standbyGroups.clear();
    for (const group of groups) this.#standbyGroups.add(group);
  }

  isStandbyGroup(group: string): boolean {
    return this.#standbyGroups.has(group);
  }

  /** Stored offset, or -1. */
  query(key: OffsetKey): number {
    return this.#tableOf(key.group).get(`${key.topic}@${key.group}`)?.get(key.queueId) ?? -1;
  }

  /** Stores an offset; negative ones, commits while a reset is pending and beyond a bound are ignored. */
  commit(key: OffsetKey, offset: number): void {
    if (offset < 0 || this.#pendingReset(key) !== undefined) return;
    if (offset > (this.#boundOf(key) ?? Number.POSITIVE_INFINITY)) return;
    this.#set(key, offset);
    if (++this.#commits % COMMITS_PER_VERSION === 0) {
      bumpDataVersion(this.#version, this.#clock.nowMs(), this.#version.stateVersion);
    }
  }

  /** Moves an offset by order of the operator: stored now and handed to the next pull. */
  reset(key: OffsetKey, offset: number): void {
    this.#set(key, offset);
    const name = `${key.topic}@${key.group}`;
    this.#bounds.spend(name, key.queueId);
    const queues = this.#resets.get(name) ?? new Map<number, number>();
    this.#resets.set(name, queues.set(key.queueId, offset));
  }

  /** Pending reset of a queue, given out once. */
  takeReset(key: OffsetKey): number | undefined {
    if (this.#resets.size === 0) return undefined;
    const offset = this.#pendingReset(key);
    if (offset === undefined) return undefined;
    const name = `${key.topic}@${key.group}`;
    const queues = this.#resets.get(name);
    queues?.delete(key.queueId);
    if (queues?.size === 0) this.#resets.delete(name);
    return offset;
  }

  /**
   * Until the group has pulled from `end` or below, it is sent back to `end`; durable after saveBounds().
   * @param end next offset of the queue in the data that is here
   */
  bound(key: OffsetKey, end: number): void {
    this.#bounds.add(`${key.topic}@${key.group}`, key.queueId, end);
  }

  saveBounds(): void {
    this.#bounds.save();
  }

  /** Bounds hold where this broker is the one that writes. */
  enforceBounds(isEnforced: boolean): void {
    this.#bounds.enforce(isEnforced);
  }

  /** Where a pull at `offset` must go on instead; undefined = it is right where it is. */
  boundFor(key: OffsetKey, offset: number): number | undefined {
    const end = this.#boundOf(key);
    if (end === undefined || offset > end) return end;
    this.#bounds.spend(`${key.topic}@${key.group}`, key.queueId);
    return undefined;
  }

  #boundOf(key: OffsetKey): number | undefined {
    return this.#bounds.of(`${key.topic}@${key.group}`, key.queueId);
  }

  #pendingReset(key: OffsetKey): number | undefined {
    if (this.#resets.size === 0) return undefined;
    return this.#resets.get(`${key.topic}@${key.group}`)?.get(key.queueId);
  }

  /** Topics with offsets of the group. */
  topicsOf(group: string): string[] {
    const tail = `@${group}`;
    return [...this.#tableOf(group).keys()]
      .filter((name) => name.endsWith(tail) && name.indexOf('@') === name.length - tail.length)
      .map((name) => name.slice(0, -tail.length));
  }

  /** Groups with offsets in the topic. */
  groupsOf(topic: string): string[] {
    const head = `${topic}@`;
    const names = new Set([...this.#main.keys(), ...this.#standby.keys()]);
    return [...names]
      .filter((name) => name.startsWith(head))
      .map((name) => name.slice(head.length));
  }

  /** Offsets of one topic and group. */
  queuesOf(topic: string, group: string): ReadonlyMap<number, number> {
    return this.#tableOf(group).get(`${topic}@${group}`) ?? new Map();
  }

  removeTopic(topic: string): void {
    this.#removeWhere((name) => name.startsWith(`${topic}@`));
  }

  removeGroup(group: string): void {
    this.#removeWhere((name) => name.endsWith(`@${group}`));
  }

  /** Topic and group of every mirrored offset. */
  *subscribed(): Iterable<Omit<OffsetKey, 'queueId'>> {
    for (const name of this.#main.keys()) {
      const [topic, group] = splitKey(name);
      yield { topic, group };
    }
  }

  /** Every offset of the mirrored table, standby groups' own ones left out. */
  *entries(): Iterable<OffsetKey & { offset: number }> {
    for (const [name, queues] of this.#main) {
      const [topic, group] = splitKey(name);
      for (const [queueId, offset] of queues) yield { topic, group, queueId, offset };
    }
  }

  /** Replaces the mirrored table; `clamp` bounds each offset by the data that is here. */
  replaceAll(content: unknown, clamp: (key: OffsetKey, offset: number) => number): number {
    const table = readOffsetTable(asObject(content)['offsetTable']);
    this.#bounds.replaceAll(asObject(content)['drBounds']);
    let count = 0;
    for (const [name, queues] of table) {
      const [topic, group] = splitKey(name);
      for (const [queueId, offset] of queues) {
        queues.set(queueId, clamp({ topic, group, queueId }, offset));
        count++;
      }
    }
    this.#main = table;
    this.#saved.touch();
    return count;
  }

  /** As code 43 tells it: Apache's fields, and the bounds while there are any. */
  content(): JsonObject {
    const drBounds = this.#bounds.content();
    return { ...this.#mainContent(), ...(drBounds === undefined ? {} : { drBounds }) };
  }

  #mainContent(): JsonObject {
    return { dataVersion: this.#version, offsetTable: writeOffsetTable(this.#main) };
  }

  /** Writes what changed; durable on return. */
  save(): void {
    this.#saved.catchUp();
    this.#savedStandby.catchUp();
    // Order: offsets first. A bound that outlives its end costs messages that come twice, not lost ones.
    this.#bounds.save();
  }

  /** The same off the loop. */
  async aside(): Promise<void> {
    // Why: offsets go on while they are written, and a bound must not be gone before they are there.
    if (this.#bounds.isBehind) return this.save();
    await this.#saved.aside();
    await this.#savedStandby.aside();
  }

  async settled(): Promise<void> {
    await this.#saved.settled();
    await this.#savedStandby.settled();
  }

  #tableOf(group: string): OffsetMap {
    return this.#standbyGroups.has(group) ? this.#standby : this.#main;
  }

  #set(key: OffsetKey, offset: number): void {
    const table = this.#tableOf(key.group);
    const name = `${key.topic}@${key.group}`;
    const queues = table.get(name);
    if (queues) queues.set(key.queueId, offset);
    else table.set(name, new Map([[key.queueId, offset]]));
    this.#touch(table);
  }

  #removeWhere(isGone: (name: string) => boolean): void {
    for (const table of [this.#main, this.#standby]) {
      for (const name of [...table.keys()].filter(isGone)) {
        table.delete(name);
        this.#touch(table);
      }
    }
    for (const name of [...this.#resets.keys()].filter(isGone)) this.#resets.delete(name);
    this.#bounds.removeWhere(isGone);
  }

  #touch(table: OffsetMap): void {
    if (table === this.#standby) this.#savedStandby.touch();
    else this.#saved.touch();
  }
}

/** `topic@group`; a topic name has no `@`. */
function splitKey(name: string): [string, string] {
  const cut = name.indexOf('@');
  return [name.slice(0, cut), name.slice(cut + 1)];
}

function readOffsetTable(value: unknown): OffsetMap {
  const table: OffsetMap = new Map();
  for (const [name, queues] of Object.entries(asObject(value))) {
    if (!name.includes('@')) continue;
    const offsets = Object.entries(asObject(queues))
      .map(([queueId, offset]): [number, number] => [Number(queueId), asNumber(offset, -1)])
      .filter(([queueId, offset]) => Number.isInteger(queueId) && offset >= 0);
    table.set(name, new Map(offsets));
  }
  return table;
}

const writeOffsetTable = (table: OffsetMap): JsonObject =>
  Object.fromEntries([...table].map(([name, queues]) => [name, Object.fromEntries(queues)]));
