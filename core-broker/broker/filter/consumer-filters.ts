// Expressions of consumers that subscribe by SQL92: topic -> group -> expression, as heartbeats say.
// They outlive their consumers for a while and stand in consumerFilter.json in Apache's form. The file
// only saves work after a restart: each heartbeat brings the expression again, so what cannot be
// read is left aside. Invariant: what is in the table has compiled; a group whose new expression does
// not compile has none, and its pulls are told so. Source: ConsumerFilterManager, behaviour only.
import { type Clock, createLog, DrError } from '../../base/index.ts';
import {
  type CompiledFilter,
  isTagExpression,
  type SubscriptionData,
} from '../../protocol/index.ts';
import {
  asNumber,
  asObject,
  type JsonObject,
  readJsonFile,
  writeJsonFile,
} from '../metadata/index.ts';
import { bloomBits } from './bloom-bits.ts';
import type { FilterCache } from './filter-cache.ts';

const log = createLog('filter');

/** Consumers of a loaded file count as gone this long. */
const LOADED_DEAD_MS = 30_000;
/** The only type of expression besides tags. */
export const SQL92 = 'SQL92';

export interface ConsumerFilter {
  readonly group: string;
  readonly topic: string;
  readonly filter: CompiledFilter;
  readonly bornMs: number;
  clientVersion: number;
  /** When its last consumer left; 0 = it is there. */
  deadMs: number;
}

export interface ConsumerFiltersOptions {
  file: string;
  clock: Clock;
  cache: FilterCache;
  /** Live settings. */
  config: {
    filterDataCleanTimeSpan: number;
    maxErrorRateOfBloomFilter: number;
    expectConsumerNumUseFilter: number;
  };
}

export class ConsumerFilters {
  readonly #options: ConsumerFiltersOptions;
  readonly #topics = new Map<string, Map<string, ConsumerFilter>>();
  #isChanged = false;

  constructor(options: ConsumerFiltersOptions) {
    this.#options = options;
    this.#load();
  }

  find(topic: string, group: string): ConsumerFilter | undefined {
    return this.#topics.get(topic)?.get(group);
  }

  /** One heartbeat of a group: its subscriptions, all of them. */
  register(group: string, subscriptions: readonly SubscriptionData[]): void {
    for (const subscription of subscriptions) {
      if (!isTagExpression(subscription.expressionType)) this.#put(group, subscription);
    }
    if (this.#topics.size === 0) return;
    const topics = new Set(subscriptions.map(({ topic }) => topic));
    this.#end(group, (topic) => !topics.has(topic));
  }

  /** The last consumer of a group is gone. */
  unregister(group: string): void {
    this.#end(group, () => true);
  }

  /** Drops what is dead for too long and writes what changed; durable on return. */
  save(): void {
    this.#expire();
    if (!this.#isChanged) return;
    writeJsonFile(this.#options.file, this.#content());
    this.#isChanged = false;
  }

  #put(group: string, { topic, subString, subVersion, expressionType }: SubscriptionData): void {
    if (subString === '') return;
    const present = this.find(topic, group);
    if (present !== undefined && subVersion <= present.clientVersion) {
      const isBack = subVersion === present.clientVersion && present.deadMs > 0;
      if (isBack) this.#mark(present, { deadMs: 0 });
      return;
    }
    if (present?.filter.text === subString) {
      this.#mark(present, { deadMs: 0, clientVersion: subVersion });
      return;
    }
    const filter = this.#compile(group, topic, { expressionType, subString });
    if (filter === undefined) this.#drop(topic, group);
    else
      this.#add({
        group,
        topic,
        filter,
        bornMs: this.#nowMs(),
        clientVersion: subVersion,
        deadMs: 0,
      });
  }

  #compile(
    group: string,
    topic: string,
    { expressionType, subString }: Pick<SubscriptionData, 'expressionType' | 'subString'>,
  ): CompiledFilter | undefined {
    if (expressionType !== SQL92) return undefined;
    try {
      return this.#options.cache.compile(subString);
    } catch (reason) {
      // The consumer learns it from its pulls (code 27) and from CHECK_CLIENT_CONFIG.
      const error = DrError.from(reason).message;
      log.warn('filter.refused', 'a subscription does not compile', { group, topic, error });
      return undefined;
    }
  }

  #add(made: ConsumerFilter): void {
    const groups = this.#topics.get(made.topic) ?? new Map<string, ConsumerFilter>();
    groups.set(made.group, made);
    this.#topics.set(made.topic, groups);
    this.#isChanged = true;
  }

  #drop(topic: string, group: string): void {
    const groups = this.#topics.get(topic);
    if (!groups?.delete(group)) return;
    if (groups.size === 0) this.#topics.delete(topic);
    this.#isChanged = true;
  }

  #end(group: string, isOver: (topic: string) => boolean): void {
    for (const groups of this.#topics.values()) {
      const found = groups.get(group);
      if (found && found.deadMs === 0 && isOver(found.topic)) {
        this.#mark(found, { deadMs: this.#nowMs() });
      }
    }
  }

  #mark(found: ConsumerFilter, changes: { deadMs: number; clientVersion?: number }): void {
    Object.assign(found, changes);
    this.#isChanged = true;
  }

  #expire(): void {
    const beforeMs = this.#nowMs() - this.#options.config.filterDataCleanTimeSpan;
    for (const [topic, groups] of [...this.#topics]) {
      for (const { group, deadMs } of [...groups.values()]) {
        if (deadMs > 0 && deadMs <= beforeMs) this.#drop(topic, group);
      }
    }
  }

  #load(): void {
    let saved: JsonObject | undefined;
    try {
      saved = readJsonFile(this.#options.file);
    } catch (reason) {
      const error = DrError.from(reason).message;
      log.warn('filter.unreadable', 'begins without; heartbeats bring them again', { error });
    }
    for (const topic of Object.values(asObject(saved?.['filterDataByTopic']))) {
      for (const each of Object.values(asObject(asObject(topic)['groupFilterData']))) {
        this.#loadOne(asObject(each));
      }
    }
    this.#isChanged = false;
  }

  #loadOne(saved: JsonObject): void {
    const text = (name: string) => String(saved[name] ?? '');
    const group = text('consumerGroup');
    const topic = text('topic');
    const filter = this.#compile(group, topic, {
      expressionType: text('expressionType'),
      subString: text('expression'),
    });
    if (filter === undefined || group === '' || topic === '') return;
    const bornMs = asNumber(saved['bornTime'], 0);
    const deadMs =
      asNumber(saved['deadTime'], 0) || Math.max(bornMs, this.#nowMs() - LOADED_DEAD_MS);
    const clientVersion = asNumber(saved['clientVersion'], 0);
    this.#add({ group, topic, filter, bornMs, deadMs, clientVersion });
  }

  #content(): JsonObject {
    const rows = [...this.#topics].map(([topic, groups]) => [
      topic,
      { groupFilterData: Object.fromEntries([...groups].map((row) => this.#row(...row))), topic },
    ]);
    return { filterDataByTopic: Object.fromEntries(rows) };
  }

  #row(group: string, { topic, filter, bornMs, deadMs, clientVersion }: ConsumerFilter) {
    const { maxErrorRateOfBloomFilter, expectConsumerNumUseFilter } = this.#options.config;
    const row = {
      bloomFilterData: bloomBits(
        `${group}#${topic}`,
        maxErrorRateOfBloomFilter,
        expectConsumerNumUseFilter,
      ),
      bornTime: bornMs,
      clientVersion,
      consumerGroup: group,
      dead: deadMs >= bornMs,
      deadTime: deadMs,
      expression: filter.text,
      expressionType: SQL92,
      topic,
    };
    return [group, row] as const;
  }

  #nowMs(): number {
    return this.#options.clock.nowMs();
  }
}
