// Opens all metadata of a store root (`<root>/config`), creates the topics every Apache broker has at
// boot, and applies snapshots of an active side. Apply order: topics, groups, offsets, delay offsets;
// everything is on disk when it returns.
import * as path from 'node:path';
import { type Clock, DrError } from '../../base/index.ts';
import {
  isSystemTopic,
  newSubscriptionGroup,
  newTopicConfig,
  Perm,
  readSubscriptionGroup,
  readTopicConfig,
  replyTopic,
  SYSTEM_GROUPS,
  TIMER_TOPIC,
  Topic,
  type TopicConfig,
} from '../../protocol/index.ts';
import type { MessageStore } from '../../store/index.ts';
import type { BrokerConfig } from '../config/index.ts';
import { ConsumerOffsets, type OffsetKey } from './consumer-offsets.ts';
import { DelayOffsets } from './delay-offsets.ts';
import { GroupTable } from './group-table.ts';
import { asObject, type JsonObject } from './json-file.ts';
import { RequestModes } from './request-modes.ts';
import type { AppliedCounts, MetadataContent, MetadataTables } from './tables.ts';
import { TopicTable } from './topic-table.ts';

const READ_WRITE = Perm.READ | Perm.WRITE;

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
    {
      main: file('consumerOffset.json'),
      standby: file('standbyOffset.json'),
      bounds: file('drBounds.json'),
    },
    clock,
  );
  const delays = new DelayOffsets(file('delayOffset.json'), clock);
  const modes = new RequestModes(file('messageRequestMode.json'));
  topics.put(...bootTopics(config).filter((topic) => needsBoot(topics, topic)));
  groups.put(
    ...[...SYSTEM_GROUPS]
      .filter((name) => !groups.find(name))
      .map((name) => newSubscriptionGroup(name)),
  );
  return {
    topics,
    groups,
    offsets,
    delays,
    modes,
    snapshot: () => ({
      topics: topics.content(),
      groups: groups.content(),
      consumerOffsets: offsets.content(),
      delayOffsets: delays.content(),
      requestModes: modes.content(),
    }),
    apply: (content) => apply({ topics, groups, offsets, delays, modes }, options, content),
    offsetLines: () => ({
      consumer: consumerLines(offsets, store),
      delay: delayLines(delays, store),
    }),
    setStandbyGroups: (names) => offsets.setStandbyGroups(names),
    save: () => {
      topics.save();
      groups.save();
      offsets.save();
      delays.save();
    },
    settled: async () => {
      const files = [topics.file, groups.file, delays.file];
      await Promise.all([offsets.settled(), ...files.map((each) => each.settled())]);
    },
  };
}

/** A topic that exists keeps what the operator made of it. */
const needsBoot = (topics: TopicTable, topic: TopicConfig): boolean =>
  topics.find(topic.topicName) === undefined;

/** Topics a broker creates at boot; name servers and tools expect them. */
function bootTopics(config: BrokerConfig): TopicConfig[] {
  const made = [
    newTopicConfig(Topic.SELF_TEST, 1, READ_WRITE),
    newTopicConfig(Topic.BENCHMARK, 1_024, READ_WRITE),
    newTopicConfig(
      config.brokerClusterName,
      16,
      Perm.INHERIT | (config.clusterTopicEnable ? READ_WRITE : 0),
    ),
    newTopicConfig(
      config.brokerName,
      1,
      Perm.INHERIT | (config.brokerTopicEnable ? READ_WRITE : 0),
    ),
    newTopicConfig(Topic.OFFSET_MOVED_EVENT, 1, READ_WRITE),
    newTopicConfig(Topic.SCHEDULE, 18, READ_WRITE),
    newTopicConfig(Topic.TRANS_HALF, 1, READ_WRITE),
    newTopicConfig(Topic.TRANS_OP_HALF, 1, READ_WRITE),
    newTopicConfig(replyTopic(config.brokerClusterName), 1, READ_WRITE),
  ];
  if (config.timerWheelEnable) made.push(newTopicConfig(TIMER_TOPIC, 1, READ_WRITE));
  if (config.autoCreateTopicEnable) {
    made.push(
      newTopicConfig(
        Topic.AUTO_CREATE_KEY,
        config.defaultTopicQueueNums,
        READ_WRITE | Perm.INHERIT,
      ),
    );
  }
  if (config.traceTopicEnable) made.push(newTopicConfig(config.msgTraceTopicName, 1, READ_WRITE));
  return made;
}

type Parts = Pick<MetadataTables, 'topics' | 'groups' | 'offsets' | 'delays' | 'modes'>;

function apply(parts: Parts, options: MetadataOptions, content: MetadataContent): AppliedCounts {
  const { config, store } = options;
  const topics = tableOf(content.topics, 'topicConfigTable');
  const groups = tableOf(content.groups, 'subscriptionGroupTable');
  tableOf(content.consumerOffsets, 'offsetTable');
  tableOf(content.delayOffsets, 'offsetTable');
  parts.topics.replaceAll(
    Object.entries(topics).map(([name, value]) => ({
      ...readTopicConfig(value, name),
      topicName: name,
    })),
    (topic) => isBrokerTopic(topic.topicName, config),
  );
  // Order: before offsets, which are clamped to what is left of the queues.
  store.followDeletions(deletionsOf(content.topics));
  parts.groups.replaceAll(
    Object.entries(groups).map(([name, value]) => ({
      ...readSubscriptionGroup(value, name),
      groupName: name,
    })),
    (name) => SYSTEM_GROUPS.has(name) || parts.offsets.isStandbyGroup(name),
  );
  parts.groups.replaceForbidden(asObject(content.groups)['forbiddenTable']);
  parts.modes.replaceAll(content.requestModes);
  const offsets = parts.offsets.replaceAll(content.consumerOffsets, (key, offset) =>
    clampOffset(store, key, offset),
  );
  const delayLevels = parts.delays.replaceAll(content.delayOffsets, (level, offset) =>
    clampLevel(store, level, offset),
  );
  parts.topics.save();
  parts.groups.save();
  parts.offsets.save();
  parts.delays.save();
  return {
    topics: Object.keys(topics).length,
    groups: Object.keys(groups).length,
    offsets,
    delayLevels,
  };
}

/** System topics and those named after this cluster and broker. */
export const isBrokerTopic = (topic: string, config: BrokerConfig): boolean =>
  isSystemTopic(topic) ||
  topic === config.brokerClusterName ||
  topic === config.brokerName ||
  topic === replyTopic(config.brokerClusterName);

function deletionsOf(topics: unknown): Record<string, number> {
  const rows = Object.entries(asObject(asObject(topics)['drDeletedTopics']));
  const sound = rows.filter((row): row is [string, number] => Number.isSafeInteger(row[1]));
  return Object.fromEntries(sound);
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
  Math.min(offset, store.bounds({ topic: Topic.SCHEDULE, queueId: level - 1 })?.max ?? 0);

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
