// Topics and groups that come into being by use: auto-created topics, %RETRY% and %DLQ% topics, groups
// at their first request. Nothing is created where appends belong to a link: the next sync would
// remove it, and a standby must stay a copy. Source: TopicConfigManager and SubscriptionGroupManager.
import {
  dlqTopic,
  groupOfTopic,
  groupProblem,
  isRetryTopic,
  newSubscriptionGroup,
  newTopicConfig,
  Perm,
  retryTopic,
  type SubscriptionGroupConfig,
  Topic as SystemTopic,
  type TopicConfig,
} from '../../protocol/index.ts';
import type { AdmissionSlot } from '../admission.ts';
import type { BrokerConfig } from '../config/index.ts';
import type { MetadataTables } from './tables.ts';
import type { Topic } from './topic-table.ts';

const { AUTO_CREATE_KEY } = SystemTopic;

export interface TopicWish {
  topic: string;
  /** Topic whose settings are inherited, normally TBW102. */
  defaultTopic: string;
  queueNums: number;
}

export class Creation {
  readonly #config: BrokerConfig;
  readonly #tables: MetadataTables;
  readonly #admission: AdmissionSlot;

  constructor(config: BrokerConfig, tables: MetadataTables, admission: AdmissionSlot) {
    this.#config = config;
    this.#tables = tables;
    this.#admission = admission;
  }

  /** Creates a topic by the rules of TBW102, or undefined when that is not allowed. */
  fromDefault(wish: TopicWish): Topic | undefined {
    if (!this.#admission.current.mayCreate) return undefined;
    // As Apache: the switch is about TBW102; other topics that may be inherited from stay so.
    const isSwitchedOff = !this.#config.autoCreateTopicEnable;
    if (isSwitchedOff && wish.defaultTopic === AUTO_CREATE_KEY) return undefined;
    const pattern = this.#tables.topics.find(wish.defaultTopic)?.config;
    if (pattern === undefined || (pattern.perm & Perm.INHERIT) === 0) return undefined;
    const queues = Math.max(Math.min(wish.queueNums, pattern.writeQueueNums), 0);
    const made = newTopicConfig(wish.topic, queues, pattern.perm & ~Perm.INHERIT);
    made.topicSysFlag = pattern.topicSysFlag;
    return this.#put(made);
  }

  /** TBW102 for topics to come, when the switch is on: a broker that began without has none. */
  allowInheritance(): void {
    const { autoCreateTopicEnable, defaultTopicQueueNums } = this.#config;
    if (!autoCreateTopicEnable || !this.#admission.current.mayCreate) return;
    if (this.#tables.topics.find(AUTO_CREATE_KEY) !== undefined) return;
    const perm = Perm.READ | Perm.WRITE | Perm.INHERIT;
    this.#put(newTopicConfig(AUTO_CREATE_KEY, defaultTopicQueueNums, perm));
  }

  /** The topic of a send that is not there yet: retry topics by their own rule. */
  onSend(wish: TopicWish): Topic | undefined {
    if (!isRetryTopic(wish.topic)) return this.fromDefault(wish);
    return this.retryTopic(groupOfTopic(wish.topic), 1);
  }

  /** The retry topic of a group, created when missing. */
  retryTopic(group: string, queues: number): Topic | undefined {
    const name = retryTopic(group);
    // Order: one that came with a heartbeat is in the file before a message is in it.
    this.#tables.topics.makeSure(name);
    const present = this.#tables.topics.find(name);
    if (present || !this.#admission.current.mayCreate) return present;
    return this.#put(newTopicConfig(name, queues, Perm.READ | Perm.WRITE));
  }

  /** The retry topic of a group that sent a heartbeat, created when missing; the file follows. */
  expectRetries(group: string, queues: number): void {
    const { topics } = this.#tables;
    const name = retryTopic(group);
    if (topics.find(name) !== undefined || !this.#admission.current.mayCreate) return;
    topics.add(newTopicConfig(name, queues, Perm.READ | Perm.WRITE));
  }

  /** The dead letter topic of a group, created when missing. */
  dlqTopic(group: string): Topic | undefined {
    const name = dlqTopic(group);
    const present = this.#tables.topics.find(name);
    if (present || !this.#admission.current.mayCreate) return present;
    return this.#put(newTopicConfig(name, 1, Perm.READ | Perm.WRITE));
  }

  /** A topic of the system with one queue, created when missing. */
  ownTopic(name: string): Topic | undefined {
    const present = this.#tables.topics.find(name);
    if (present || !this.#admission.current.mayCreate) return present;
    return this.#put(newTopicConfig(name, 1, Perm.READ | Perm.WRITE));
  }

  /** The group, created when allowed; at a standby a default one that is not stored. */
  group(name: string): SubscriptionGroupConfig | undefined {
    const present = this.#tables.groups.find(name);
    if (present || !this.#config.autoCreateSubscriptionGroup) return present;
    if (groupProblem(name) !== undefined) return undefined;
    const made = newSubscriptionGroup(name);
    if (this.#admission.current.mayCreate) this.#tables.groups.add(made);
    return made;
  }

  #put(config: TopicConfig): Topic | undefined {
    this.#tables.topics.put(config);
    return this.#tables.topics.find(config.topicName);
  }
}
