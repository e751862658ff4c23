// All topics of the broker: topics.json, lookups by name and by the bytes of a frame.
// The byte lookup is the hot path of sends: FNV-1a over the bytes, then a byte compare; no string is
// made per message. Every change bumps the DataVersion and is told to listeners; it is durable on return, but
// for retry topics that come with a heartbeat: makeSure() is asked before a message goes into one.
// Source: RocketMQ TopicConfigManager, behaviour only.
import type { Clock } from '../../base/index.ts';
import {
  bumpDataVersion,
  type DataVersion,
  isRetryTopic,
  isSendForbidden,
  newDataVersion,
  readDataVersion,
  readTopicConfig,
  type TopicConfig,
} from '../../protocol/index.ts';
import type { MessageStore, TopicHandle } from '../../store/index.ts';
import { asObject, type JsonObject, readJsonFile } from './json-file.ts';
import { SavedTable } from './saved-table.ts';

/** A topic in use: its configuration and its handle in the store. */
export interface Topic {
  config: TopicConfig;
  readonly handle: TopicHandle;
  /** Messages and body bytes appended since start; plain fields because sends count here. */
  putCount: number;
  putBytes: number;
  /** Sends to it need more than the plain path: forbidden, retry or schedule topics. */
  readonly isSpecial: boolean;
  /** Removed from the table: who keeps the object must look the name up again. */
  isGone: boolean;
}

export type TopicListener = (changed: TopicConfig[]) => void;

export class TopicTable {
  readonly #saved: SavedTable;
  readonly #store: Pick<MessageStore, 'topic'>;
  readonly #clock: Clock;
  readonly #byName = new Map<string, Topic>();
  readonly #byHash = new Map<number, Topic[]>();
  readonly #listeners: TopicListener[] = [];
  readonly #version: DataVersion;
  /** Topics of add() that may not be in the file. */
  readonly #unsure = new Set<string>();

  constructor(file: string, store: Pick<MessageStore, 'topic'>, clock: Clock) {
    this.#saved = new SavedTable(file, () => this.content());
    this.#store = store;
    this.#clock = clock;
    const saved = readJsonFile(file);
    this.#version = saved ? readDataVersion(saved['dataVersion']) : newDataVersion(clock.nowMs());
    for (const [name, value] of Object.entries(asObject(saved?.['topicConfigTable']))) {
      this.#place({ ...readTopicConfig(value, name), topicName: name });
    }
  }

  get version(): DataVersion {
    return this.#version;
  }

  get size(): number {
    return this.#byName.size;
  }

  find(name: string): Topic | undefined {
    return this.#byName.get(name);
  }

  /** The topic whose name is these bytes; allocates nothing. */
  findBytes(bytes: Buffer, start: number, length: number): Topic | undefined {
    const bucket = this.#byHash.get(hashBytes(bytes, start, length));
    if (bucket === undefined) return undefined;
    for (let i = 0; i < bucket.length; i++) {
      const topic = bucket[i] as Topic;
      if (equalBytes(topic.handle.bytes, bytes, start, length)) return topic;
    }
    return undefined;
  }

  all(): TopicConfig[] {
    return [...this.#byName.values()].map((topic) => topic.config);
  }

  topics(): Iterable<Topic> {
    return this.#byName.values();
  }

  onChange(listener: TopicListener): void {
    this.#listeners.push(listener);
  }

  /**
   * Adds or replaces topics; durable on return. Equal configurations change nothing.
   * @throws as the failed write; nothing has changed then: a topic that only memory knows would take
   *   messages that nobody finds after a crash
   */
  put(...configs: TopicConfig[]): void {
    const changed = configs.filter((config) => !this.#holds(config));
    if (changed.length === 0) {
      this.save();
      return;
    }
    const before = changed.map(({ topicName }) => this.#byName.get(topicName)?.config);
    for (const config of changed) this.#place(config);
    try {
      this.#commit(changed);
    } catch (reason) {
      for (const [n, config] of changed.entries()) this.#takeBack(config.topicName, before[n]);
      throw reason;
    }
  }

  /** A topic that takes no message before makeSure(); in the file at the next save. */
  add(config: TopicConfig): void {
    this.#place(config);
    bumpDataVersion(this.#version, this.#clock.nowMs(), this.#version.stateVersion);
    if (!this.#saved.isBehind) this.#unsure.clear();
    this.#unsure.add(config.topicName);
    this.#saved.touch();
    for (const listener of this.#listeners) listener([config]);
  }

  /** The topic is in the file on return, if add() brought it. @throws as the failed write */
  makeSure(name: string): void {
    if (this.#unsure.has(name)) this.save();
  }

  /** Writes what add() left; durable on return. */
  save(): void {
    this.#saved.catchUp();
    this.#unsure.clear();
  }

  /** When and how the file is written. */
  get file(): SavedTable {
    return this.#saved;
  }

  #takeBack(name: string, before: TopicConfig | undefined): void {
    const topic = this.#byName.get(name);
    if (topic === undefined) return;
    if (before === undefined) this.#drop(topic);
    else topic.config = before;
  }

  /** Removes a topic; durable on return. */
  remove(name: string): boolean {
    const topic = this.#byName.get(name);
    if (topic === undefined) return false;
    this.#drop(topic);
    this.#commit([]);
    return true;
  }

  /** Makes the table exactly `configs` plus whatever `keep` says of the present ones. */
  replaceAll(configs: TopicConfig[], keep: (config: TopicConfig) => boolean): void {
    const wanted = new Set(configs.map((config) => config.topicName));
    const gone = [...this.#byName.values()].filter(
      (topic) => !wanted.has(topic.config.topicName) && !keep(topic.config),
    );
    const changed = configs.filter((config) => !this.#holds(config));
    if (gone.length + changed.length === 0) return;
    for (const topic of gone) this.#drop(topic);
    for (const config of changed) this.#place(config);
    this.#commit(changed);
  }

  /** The epoch goes into the version, so that name servers prefer the newer active side. */
  setStateVersion(stateVersion: number): void {
    if (this.#version.stateVersion === stateVersion) return;
    bumpDataVersion(this.#version, this.#clock.nowMs(), stateVersion);
    this.#saved.saveNow();
  }

  /** Something a registration carries changed without a topic change (brokerPermission). */
  bump(): void {
    this.#commit([]);
  }

  content(): JsonObject {
    const table = [...this.#byName].map(([name, topic]) => [name, topic.config]);
    return { dataVersion: this.#version, topicConfigTable: Object.fromEntries(table) };
  }

  #holds(config: TopicConfig): boolean {
    const present = this.#byName.get(config.topicName);
    return present !== undefined && JSON.stringify(present.config) === JSON.stringify(config);
  }

  #place(config: TopicConfig): void {
    const present = this.#byName.get(config.topicName);
    if (present) {
      present.config = config;
      return;
    }
    const handle = this.#store.topic(config.topicName);
    const isSpecial = isSendForbidden(config.topicName) || isRetryTopic(config.topicName);
    const topic: Topic = { config, handle, putCount: 0, putBytes: 0, isSpecial, isGone: false };
    this.#byName.set(config.topicName, topic);
    const hash = hashBytes(topic.handle.bytes, 0, topic.handle.bytes.length);
    const bucket = this.#byHash.get(hash);
    if (bucket) bucket.push(topic);
    else this.#byHash.set(hash, [topic]);
  }

  #drop(topic: Topic): void {
    topic.isGone = true;
    this.#byName.delete(topic.config.topicName);
    const hash = hashBytes(topic.handle.bytes, 0, topic.handle.bytes.length);
    const rest = (this.#byHash.get(hash) ?? []).filter((other) => other !== topic);
    if (rest.length > 0) this.#byHash.set(hash, rest);
    else this.#byHash.delete(hash);
  }

  #commit(changed: TopicConfig[]): void {
    bumpDataVersion(this.#version, this.#clock.nowMs(), this.#version.stateVersion);
    this.#saved.saveNow();
    for (const listener of this.#listeners) listener(changed);
  }
}

/** FNV-1a, 32 bit. */
function hashBytes(bytes: Buffer, start: number, length: number): number {
  let hash = 0x811c9dc5;
  for (let i = start; i < start + length; i++) {
    hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  }
  return hash;
}

function equalBytes(name: Buffer, bytes: Buffer, start: number, length: number): boolean {
  if (name.length !== length) return false;
  for (let i = 0; i < length; i++) {
    if (name[i] !== bytes[start + i]) return false;
  }
  return true;
}
