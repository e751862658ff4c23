// Who consumes: group -> connections and subscriptions, as heartbeats say. Members are keyed by
// connection, because a client that reconnects is a new member and its old socket must not count.
// A change of members or topics is reported once per group and tick, and becomes a push of code 40.
// Source: RocketMQ ConsumerManager and ConsumerGroupInfo, behaviour only.
import type { ConsumerData, SubscriptionData } from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';

/** One client on one connection. */
export interface ClientChannel {
  connection: ServerConnection;
  clientId: string;
  language: string;
  version: number;
  lastUpdateMs: number;
}

export interface ConsumerGroup {
  readonly name: string;
  consumeType: string;
  messageModel: string;
  consumeFromWhere: string;
  readonly subscriptions: Map<string, SubscriptionData>;
  /** By connection id. */
  readonly channels: Map<number, ClientChannel>;
}

export class ConsumerTable {
  readonly #groups = new Map<string, ConsumerGroup>();
  /** Connection id -> names of its groups, so that a close touches only those. */
  readonly #byConnection = new Map<number, Set<string>>();
  readonly #onChange: (group: ConsumerGroup) => void;
  readonly #onGone: (group: string) => void;
  readonly #changed = new Set<ConsumerGroup>();

  /** @param onGone  told when the last member of a group has left */
  constructor(
    onChange: (group: ConsumerGroup) => void,
    onGone: (group: string) => void = () => undefined,
  ) {
    this.#onChange = onChange;
    this.#onGone = onGone;
  }

  find(group: string): ConsumerGroup | undefined {
    return this.#groups.get(group);
  }

  groups(): Iterable<ConsumerGroup> {
    return this.#groups.values();
  }

  /** Groups with a live subscription of the topic. */
  groupsOf(topic: string): string[] {
    return [...this.#groups.values()]
      .filter((group) => group.subscriptions.has(topic))
      .map((group) => group.name);
  }

  clientIds(group: string): string[] {
    const channels = this.#groups.get(group)?.channels.values() ?? [];
    return [...new Set([...channels].map((channel) => channel.clientId))];
  }

  channelOf(group: string, clientId: string): ClientChannel | undefined {
    const channels = this.#groups.get(group)?.channels.values() ?? [];
    return [...channels].find((channel) => channel.clientId === clientId);
  }

  /** Takes one group of a heartbeat in. @returns whether members or topics changed */
  register(presence: ConsumerData, channel: ClientChannel): boolean {
    const group = this.#groups.get(presence.groupName) ?? this.#add(presence);
    group.consumeType = presence.consumeType;
    group.messageModel = presence.messageModel;
    group.consumeFromWhere = presence.consumeFromWhere;
    const isNew = !group.channels.has(channel.connection.id);
    group.channels.set(channel.connection.id, channel);
    this.#remember(channel.connection.id, group.name);
    const hasOtherTopics = mergeSubscriptions(group, presence.subscriptionDataSet);
    if (isNew || hasOtherTopics) this.#report(group);
    return isNew || hasOtherTopics;
  }

  /** A client left one group by code 35. */
  unregister(group: string, connection: ServerConnection): void {
    this.#byConnection.get(connection.id)?.delete(group);
    this.#leave(group, connection.id);
  }

  /** A connection is gone. */
  forget(connection: ServerConnection): void {
    const names = this.#byConnection.get(connection.id);
    this.#byConnection.delete(connection.id);
    for (const name of names ?? []) this.#leave(name, connection.id);
  }

  /** Channels without a heartbeat since `beforeMs`. */
  silentSince(beforeMs: number): ClientChannel[] {
    return [...this.#groups.values()]
      .flatMap((group) => [...group.channels.values()])
      .filter((channel) => channel.lastUpdateMs < beforeMs);
  }

  #add(presence: ConsumerData): ConsumerGroup {
    const group: ConsumerGroup = {
      name: presence.groupName,
      consumeType: presence.consumeType,
      messageModel: presence.messageModel,
      consumeFromWhere: presence.consumeFromWhere,
      subscriptions: new Map(),
      channels: new Map(),
    };
    this.#groups.set(group.name, group);
    return group;
  }

  #remember(connectionId: number, group: string): void {
    const names = this.#byConnection.get(connectionId);
    if (names) names.add(group);
    else this.#byConnection.set(connectionId, new Set([group]));
  }

  #leave(name: string, connectionId: number): void {
    const group = this.#groups.get(name);
    if (!group?.channels.delete(connectionId)) return;
    if (group.channels.size > 0) {
      this.#report(group);
      return;
    }
    this.#groups.delete(name);
    this.#onGone(name);
  }

  /** Why: a thousand clients that start together would otherwise push a million times. */
  #report(group: ConsumerGroup): void {
    if (this.#changed.size === 0) setImmediate(() => this.#flush());
    this.#changed.add(group);
  }

  #flush(): void {
    const groups = [...this.#changed];
    this.#changed.clear();
    for (const group of groups) this.#onChange(group);
  }
}

/** A newer subscription of a topic wins; topics no longer named are dropped. */
function mergeSubscriptions(group: ConsumerGroup, wanted: SubscriptionData[]): boolean {
  let isChanged = false;
  for (const subscription of wanted) {
    const present = group.subscriptions.get(subscription.topic);
    if (present === undefined) isChanged = true;
    if (present === undefined || subscription.subVersion > present.subVersion) {
      group.subscriptions.set(subscription.topic, subscription);
    }
  }
  const topics = new Set(wanted.map((subscription) => subscription.topic));
  for (const topic of [...group.subscriptions.keys()].filter((name) => !topics.has(name))) {
    group.subscriptions.delete(topic);
    isChanged = true;
  }
  return isChanged;
}
