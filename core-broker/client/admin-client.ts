// What operators and tools ask of name servers and brokers: create, list, read states and tables.
// Answers are RocketMQ's own JSON shapes, read through the lenient reader, because 4.9 and 5.x brokers
// write a dialect. A code other than 0 is a DrError REMOTE with context.code, unless said otherwise.
import { DrError } from '../base/index.ts';
import { parseJson, RequestCode, type TopicRouteData } from '../protocol/index.ts';
import type { PeerClient } from './door.ts';
import { createPeerClient } from './peer-client.ts';
import { RouteCache } from './route-cache.ts';

export interface AdminClientOptions {
  nameservers: readonly string[];
  timeoutMs?: number;
}

export interface TopicSpec {
  topic: string;
  queues: number;
  /** 6 = read and write. */
  perm?: number;
  isOrder?: boolean;
}

/** Body of code 106. */
export interface ClusterInfo {
  brokerAddrTable: Record<
    string,
    { brokerName: string; cluster: string; brokerAddrs: Record<string, string> }
  >;
  clusterAddrTable: Record<string, string[]>;
}

/** One line of codes 202 and 208; the queue comes as JSON text in the map key. */
export interface QueueStats {
  topic: string;
  brokerName: string;
  queueId: number;
  minOffset: number;
  maxOffset: number;
}

export interface ConsumeStats {
  topic: string;
  brokerName: string;
  queueId: number;
  brokerOffset: number;
  consumerOffset: number;
}

export class AdminClient {
  readonly routes: RouteCache;
  readonly #peer: PeerClient;
  readonly #timeoutMs: number;

  constructor(options: AdminClientOptions) {
    this.#peer = createPeerClient();
    this.#timeoutMs = options.timeoutMs ?? 5_000;
    this.routes = new RouteCache(this.#peer, {
      nameservers: options.nameservers,
      timeoutMs: this.#timeoutMs,
    });
  }

  close(): void {
    this.routes.stop();
    this.#peer.close();
  }

  /** Creates or changes a topic on one broker. */
  async createTopic(address: string, spec: TopicSpec): Promise<void> {
    const ext = {
      topic: spec.topic,
      defaultTopic: 'TBW102',
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
  async createGroup(address: string, group: string, settings: object = {}): Promise<void> {
    const body = JSON.stringify({ ...GROUP_DEFAULTS, groupName: group, ...settings });
    await this.#call(address, { code: RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, body });
  }

  /** Route of a topic, asked now. @throws DrError NO_ROUTE */
  route(topic: string): Promise<TopicRouteData> {
    return this.routes.refresh(topic);
  }

  /** Brokers by cluster, as a name server knows them. */
  async clusterInfo(): Promise<ClusterInfo> {
    const request = { code: RequestCode.GET_BROKER_CLUSTER_INFO };
    const response = await this.routes.ask((address, ms) => this.#peer.call(address, request, ms));
    return jsonOf(response.body) as ClusterInfo;
  }

  async topicList(): Promise<string[]> {
    const request = { code: RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER };
    const response = await this.routes.ask((address, ms) => this.#peer.call(address, request, ms));
    return (jsonOf(response.body) as { topicList?: string[] }).topicList ?? [];
  }

  /** Bounds of every queue of a topic on one broker. */
  async topicStats(address: string, topic: string): Promise<QueueStats[]> {
    const request = { code: RequestCode.GET_TOPIC_STATS_INFO, ext: { topic } };
    return queueTable<{ minOffset: number; maxOffset: number }>(await this.#json(address, request));
  }

  /** How far a group is in each queue of one broker. */
  async consumeStats(address: string, group: string, topic?: string): Promise<ConsumeStats[]> {
    const ext = { consumerGroup: group, topic };
    const request = { code: RequestCode.GET_CONSUME_STATS, ext };
    return queueTable<{ brokerOffset: number; consumerOffset: number }>(
      await this.#json(address, request),
    );
  }

  /** Key -> text, code 28. */
  async runtimeInfo(address: string): Promise<Record<string, string>> {
    const body = await this.#json(address, { code: RequestCode.GET_BROKER_RUNTIME_INFO });
    return (body as { table?: Record<string, string> }).table ?? {};
  }

  /** Configuration of a broker as key -> value, code 26. */
  async brokerConfig(address: string): Promise<Record<string, string>> {
    const body = await this.#call(address, { code: RequestCode.GET_BROKER_CONFIG });
    const lines = (body?.toString('utf8') ?? '').split('\n').filter((line) => line.includes('='));
    return Object.fromEntries(
      lines.map((line) => {
        const at = line.indexOf('=');
        return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
      }),
    );
  }

  /** Topics wrapper, code 21. */
  topicTable(address: string): Promise<unknown> {
    return this.#json(address, { code: RequestCode.GET_ALL_TOPIC_CONFIG });
  }

  /** Subscription groups wrapper, code 201. */
  groupTable(address: string): Promise<unknown> {
    return this.#json(address, { code: RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG });
  }

  /** consumerOffset.json of the broker, code 43. */
  consumerOffsets(address: string): Promise<unknown> {
    return this.#json(address, { code: RequestCode.GET_ALL_CONSUMER_OFFSET });
  }

  /** delayOffset.json of the broker, code 45; an empty table when it has none (code 1). */
  async delayOffsets(address: string): Promise<unknown> {
    const request = { code: RequestCode.GET_ALL_DELAY_OFFSET };
    const response = await this.#peer.invoke(address, request, this.#timeoutMs);
    return response.code === 0 ? jsonOf(response.body) : { offsetTable: {} };
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

  async #json(address: string, request: Parameters<PeerClient['call']>[1]): Promise<unknown> {
    return jsonOf(await this.#call(address, request));
  }
}

const GROUP_DEFAULTS = {
  attributes: {},
  brokerId: 0,
  consumeBroadcastEnable: true,
  consumeEnable: true,
  consumeFromMinEnable: true,
  consumeMessageOrderly: false,
  groupSysFlag: 0,
  notifyConsumerIdsChangedEnable: true,
  retryMaxTimes: 16,
  retryQueueNums: 1,
  whichBrokerWhenConsumeSlowly: 1,
};

const jsonOf = (body: Buffer | undefined): unknown => parseJson(body?.toString('utf8') || '{}');

/** Flattens `{"offsetTable":{"<queue as JSON>":{...}}}`. */
function queueTable<T>(
  body: unknown,
): (T & { topic: string; brokerName: string; queueId: number })[] {
  const table = (body as { offsetTable?: Record<string, T> }).offsetTable ?? {};
  return Object.entries(table).map(([key, value]) => ({
    ...(JSON.parse(key) as { topic: string; brokerName: string; queueId: number }),
    ...value,
  }));
}
