// What operators, tools and the link ask of one broker: create, read states, tables and records.
// Works against 4.9, 5.x and ours: bodies are read by protocol's lenient decoders. A code other than 0 is a DrError REMOTE with context.code, unless said otherwise.
import { DrError, parseProperties } from '../base/index.ts';
import {
  type ConsumeQueueOffset,
  type ConsumerOffsetTable,
  type DelayOffsetTable,
  decodeConsumerOffsets,
  decodeConsumeStats,
  decodeDelayOffsets,
  decodeKvTable,
  decodeSubscriptionGroupTable,
  decodeTopicConfigTable,
  decodeTopicStats,
  type MessageQueue,
  newSubscriptionGroup,
  parseJsonObject,
  RequestCode,
  ResponseCode,
  type SubscriptionGroupConfig,
  type SubscriptionGroupTable,
  Topic,
  type TopicConfigTable,
  type TopicQueueOffset,
} from '../protocol/index.ts';
import type { PeerClient } from './door.ts';
import { remoteError } from './peer-client.ts';

export interface TopicSpec {
  topic: string;
  queues: number;
  /** 6 = read and write. */
  perm?: number;
  isOrder?: boolean;
}

export class BrokerAdmin {
  readonly #peer: PeerClient;
  readonly #timeoutMs: number;

  constructor(peer: PeerClient, timeoutMs: number) {
    this.#peer = peer;
    this.#timeoutMs = timeoutMs;
  }

  /** Creates or changes a topic on one broker. */
  async createTopic(address: string, spec: TopicSpec): Promise<void> {
    const ext = {
      topic: spec.topic,
      defaultTopic: Topic.AUTO_CREATE_KEY,
      readQueueNums: spec.queues,
      writeQueueNums: spec.queues,
      perm: spec.perm ?? 6,
      topicFilterType: 'SINGLE_TAG',
      topicSysFlag: 0,
      order: spec.isOrder ?? false,
    };
    await this.#call(address, { code: RequestCode.UPDATE_AND_CREATE_TOPIC, ext });
  }

  /** Creates or changes a subscription group on one broker. */
  async createGroup(
    address: string,
    group: string,
    settings: Partial<SubscriptionGroupConfig> = {},
  ): Promise<void> {
    const body = JSON.stringify({ ...newSubscriptionGroup(group), ...settings });
    await this.#call(address, { code: RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, body });
  }

  /** Bounds of every queue of a topic on one broker. */
  async topicStats(address: string, topic: string): Promise<(MessageQueue & TopicQueueOffset)[]> {
    const request = { code: RequestCode.GET_TOPIC_STATS_INFO, ext: { topic } };
    return decodeTopicStats(await this.#call(address, request));
  }

  /** How far a group is in each queue of one broker. */
  async consumeStats(
    address: string,
    group: string,
    topic?: string,
  ): Promise<(MessageQueue & ConsumeQueueOffset)[]> {
    const request = { code: RequestCode.GET_CONSUME_STATS, ext: { consumerGroup: group, topic } };
    return decodeConsumeStats(await this.#call(address, request));
  }

  /** Key -> text, code 28. */
  async runtimeInfo(address: string): Promise<Record<string, string>> {
    return decodeKvTable(await this.#call(address, { code: RequestCode.GET_BROKER_RUNTIME_INFO }));
  }

  /** Configuration of a broker as key -> value, code 26. */
  async brokerConfig(address: string): Promise<Record<string, string>> {
    const body = await this.#call(address, { code: RequestCode.GET_BROKER_CONFIG });
    const entries = parseProperties(body?.toString('utf8') ?? '');
    return Object.fromEntries([...entries].map(([key, entry]) => [key, entry.value]));
  }

  async topicTable(address: string): Promise<TopicConfigTable> {
    const request = { code: RequestCode.GET_ALL_TOPIC_CONFIG };
    return decodeTopicConfigTable(await this.#call(address, request));
  }

  async groupTable(address: string): Promise<SubscriptionGroupTable> {
    const request = { code: RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG };
    return decodeSubscriptionGroupTable(await this.#call(address, request));
  }

  async consumerOffsets(address: string): Promise<ConsumerOffsetTable> {
    const request = { code: RequestCode.GET_ALL_CONSUMER_OFFSET };
    return decodeConsumerOffsets(await this.#call(address, request));
  }

  /** Progress of delayed delivery; an empty table when the broker has no such file (code 1). */
  async delayOffsets(address: string): Promise<DelayOffsetTable> {
    const request = { code: RequestCode.GET_ALL_DELAY_OFFSET };
    const response = await this.#peer.invoke(address, request, this.#timeoutMs);
    if (response.code === ResponseCode.SYSTEM_ERROR) return decodeDelayOffsets('{}');
    if (response.code !== 0) throw remoteError(address, request.code, response);
    return decodeDelayOffsets(response.body || '{}');
  }

  /** How far timer messages were delivered, code 60; undefined when the broker has no timers. */
  async timerCheckpoint(address: string): Promise<Buffer | undefined> {
    const request = { code: RequestCode.GET_TIMER_CHECK_POINT };
    const response = await this.#peer.invoke(address, request, this.#timeoutMs);
    return response.code === 0 ? response.body : undefined;
  }

  /** How groups ask for messages, code 402; undefined when the broker is older than that. */
  async requestModes(address: string): Promise<Record<string, unknown> | undefined> {
    const request = { code: RequestCode.GET_ALL_MESSAGE_REQUEST_MODE };
    const response = await this.#peer.invoke(address, request, this.#timeoutMs);
    return response.code === 0 ? parseJsonObject(response.body) : undefined;
  }

  /** Raw record at a commit-log offset, code 33. @throws DrError NOT_FOUND */
  async viewRecord(address: string, offset: number): Promise<Buffer> {
    const request = { code: RequestCode.VIEW_MESSAGE_BY_ID, ext: { offset } };
    const response = await this.#peer.invoke(address, request, this.#timeoutMs);
    if (response.code === 0 && response.body?.length) return response.body;
    throw new DrError('NOT_FOUND', `${address} has no record at offset ${offset}`, {
      context: { address, offset, code: response.code, remark: response.remark },
    });
  }

  async #call(address: string, request: Parameters<PeerClient['call']>[1]) {
    const response = await this.#peer.call(address, request, this.#timeoutMs);
    return response.body;
  }
}
