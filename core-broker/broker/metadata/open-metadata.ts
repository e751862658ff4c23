// Opens all metadata of a store root (`<root>/config`), creates the topics every Apache broker has at
// boot, and applies snapshots of an active side. Apply order: topics, groups, offsets, delay offsets;
// everything is on disk when it returns.
import * as path from 'node:path';
import { type Clock, DrError } from '../../base/index.ts';
import type { MessageStore } from '../../store/index.ts';
import type { BrokerConfig } from '../config/index.ts';
import { ConsumerOffsets, type OffsetKey } from './consumer-offsets.ts';
import { DelayOffsets } from './delay-offsets.ts';
import { GroupTable, groupConfig, readGroupConfig } from './group-table.ts';
import { asObject, type JsonObject } from './json-file.ts';
import {
  BENCHMARK_TOPIC,
  DEFAULT_TOPIC,
  isSystemTopic,
  OFFSET_MOVED_TOPIC,
  PREDEFINED_GROUPS,
  replyTopicOf,
  SCHEDULE_TOPIC,
  SELF_TEST_TOPIC,
} from './names.ts';
import type { AppliedCounts, MetadataContent, MetadataTables } from './tables.ts';
import { PERM, readTopicConfig, type TopicConfig, topicConfig } from './topic-config.ts';
import { TopicTable } from './topic-table.ts';

const READ_WRITE = PERM.READ | PERM.WRITE;

export interface MetadataOptions {
  config: BrokerConfig;
  store: MessageStore;
  clock: Clock;
}

/**
 * Loads the tables, those of stock brokers too.
 * @throws DrError CORRUPT when a file and its backup are damaged
 */
export function openMetadata(options: MetadataOptions): MetadataTables {
  const { config, store, clock } = options;
  const file = (name: string) => path.join(config.storePathRootDir, 'config', name);
  const topics = new TopicTable(file('topics.json'), store, clock);
  const groups = new GroupTable(file('subscriptionGroup.json'), clock);
  const offsets = new ConsumerOffsets(
    { main: file('consumerOffset.json'), standby: file('standbyOffset.json') },
    clock,
  );
  const delays = new DelayOffsets(file('delayOffset.json'), clock);
  topics.put(...bootTopics(config).filter((topic) => needsBoot(topics, topic)));
  groups.put(...PREDEFINED_GROUPS.filter((name) => !groups.find(name)).map(groupConfig));
  return {
    topics,
    groups,
    offsets,
    delays,
    snapshot: () => ({
      topics: topics.content(),
      groups: groups.content(),
      consumerOffsets: offsets.content(),
      delayOffsets: delays.content(),
    }),
    apply: (content) => apply({ topics, groups, offsets, delays }, options, content),
    offsetLines: () => ({
      consumer: consumerLines(offsets, store),
      delay: delayLines(delays, store),
    }),
    setStandbyGroups: (names) => offsets.setStandbyGroups(names),
    save: () => {
      offsets.save();
      delays.save();
    },
  };
}

/** A topic that exists keeps what the operator made of it. */
const needsBoot = (topics: TopicTable, topic: TopicConfig): boolean =>
  topics.find(topic.topicName) === undefined;

/** Topics a broker creates at boot; name servers and tools expect them. */
function bootTopics(config: BrokerConfig): TopicConfig[] {
  const made = [
    topicConfig(SELF_TEST_TOPIC, 1, READ_WRITE),
    topicConfig(BENCHMARK_TOPIC, 1_024, READ_WRITE),
    topicConfig(
      config.brokerClusterName,
      16,
      PERM.INHERIT | (config.clusterTopicEnable ? READ_WRITE : 0),
    ),
    topicConfig(config.brokerName, 1, PERM.INHERIT | (config.brokerTopicEnable ? READ_WRITE : 0)),
    topicConfig(OFFSET_MOVED_TOPIC, 1, READ_WRITE),
    topicConfig(SCHEDULE_TOPIC, 18, READ_WRITE),
    topicConfig(replyTopicOf(config.brokerClusterName), 1, READ_WRITE),
  ];
  if (config.autoCreateTopicEnable) {
    made.push(topicConfig(DEFAULT_TOPIC, config.defaultTopicQueueNums, READ_WRITE | PERM.INHERIT));
  }
  if (config.traceTopicEnable) made.push(topicConfig(config.msgTraceTopicName, 1, READ_WRITE));
  return made;
}

type Parts = Pick<MetadataTables, 'topics' | 'groups' | 'offsets' | 'delays'>;

function apply(parts: Parts, options: MetadataOptions, content: MetadataContent): AppliedCounts {
  const { config, store } = options;
  const topics = tableOf(content.topics, 'topicConfigTable');
  const groups = tableOf(content.groups, 'subscriptionGroupTable');
  tableOf(content.consumerOffsets, 'offsetTable');
  tableOf(content.delayOffsets, 'offsetTable');
  parts.topics.replaceAll(
    Object.entries(topics).map(([name, value]) => readTopicConfig(name, value)),
    (topic) => isSystemTopic(topic.topicName, config.brokerClusterName, config.brokerName),
  );
  parts.groups.replaceAll(
    Object.entries(groups).map(([name, value]) => readGroupConfig(name, value)),
    (name) => PREDEFINED_GROUPS.includes(name) || parts.offsets.isStandbyGroup(name),
  );
  const offsets = parts.offsets.replaceAll(content.consumerOffsets, (key, offset) =>
    clampOffset(store, key, offset),
  );
  const delayLevels = parts.delays.replaceAll(content.delayOffsets, (level, offset) =>
    clampLevel(store, level, offset),
  );
  parts.offsets.save();
  parts.delays.save();
  return {
    topics: Object.keys(topics).length,
    groups: Object.keys(groups).length,
    offsets,
    delayLevels,
  };
}

function tableOf(content: unknown, name: string): JsonObject {
  const table = asObject(content)[name];
  if (typeof table === 'object' && table !== null) return asObject(table);
  throw new DrError('PROTOCOL', `metadata snapshot without ${name}`);
}

/** Invariant: an offset never points beyond the data that is here. */
const clampOffset = (store: MessageStore, key: OffsetKey, offset: number): number =>
  Math.min(offset, store.bounds({ topic: key.topic, queueId: key.queueId })?.max ?? 0);

const clampLevel = (store: MessageStore, level: number, offset: number): number =>
  Math.min(offset, store.bounds({ topic: SCHEDULE_TOPIC, queueId: level - 1 })?.max ?? 0);

/** Clamped on both sides, so that a commit beyond the end of a queue does not break the proof. */
function* consumerLines(offsets: ConsumerOffsets, store: MessageStore): Iterable<string> {
  for (const entry of offsets.entries()) {
    const offset = clampOffset(store, entry, entry.offset);
    yield `${entry.topic}@${entry.group}@${entry.queueId}=${offset}`;
  }
}

function* delayLines(delays: DelayOffsets, store: MessageStore): Iterable<string> {
  for (const [level, offset] of delays.entries()) {
    yield `${level}=${clampLevel(store, level, offset)}`;
  }
}
