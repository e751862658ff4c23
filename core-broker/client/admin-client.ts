// What operators and tools ask of name servers; with BrokerAdmin's calls it is the whole admin client.
// Works against 4.9, 5.x and ours. A code other than 0 is a DrError REMOTE with context.code.
import {
  type ClusterInfo,
  decodeClusterInfo,
  decodeTopicList,
  RequestCode,
  type TopicRouteData,
} from '../protocol/index.ts';
import { BrokerAdmin } from './broker-admin.ts';
import type { PeerClient } from './door.ts';
import { createPeerClient } from './peer-client.ts';
import { RouteCache } from './route-cache.ts';

export interface AdminClientOptions {
  nameservers: readonly string[];
  timeoutMs?: number;
}

export class AdminClient extends BrokerAdmin {
  readonly routes: RouteCache;
  readonly #peer: PeerClient;

  constructor(options: AdminClientOptions) {
    const peer = createPeerClient();
    const timeoutMs = options.timeoutMs ?? 5_000;
    super(peer, timeoutMs);
    this.#peer = peer;
    this.routes = new RouteCache(peer, { nameservers: options.nameservers, timeoutMs });
  }

  close(): void {
    this.routes.stop();
    this.#peer.close();
  }

  /** Route of a topic, asked now. @throws DrError NO_ROUTE */
  route(topic: string): Promise<TopicRouteData> {
    return this.routes.refresh(topic);
  }

  /** Brokers by cluster, as a name server knows them. */
  async clusterInfo(): Promise<ClusterInfo> {
    const request = { code: RequestCode.GET_BROKER_CLUSTER_INFO };
    const response = await this.routes.ask((address, ms) => this.#peer.call(address, request, ms));
    return decodeClusterInfo(response.body);
  }

  async topicList(): Promise<string[]> {
    const request = { code: RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER };
    const response = await this.routes.ask((address, ms) => this.#peer.call(address, request, ms));
    return decodeTopicList(response.body);
  }
}
