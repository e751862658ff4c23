// The connection of an administrator: name servers in order, brokers by address, one time-out.
// Answers are read leniently (Java maps with objects as keys, numbers in quotes), so that 4.9, 5.x and
// ours read the same. A code other than 0 is a DrError REMOTE with context.code.
import { DrError } from '../../base/index.ts';
import {
  type ClusterInfo,
  decodeClusterInfo,
  decodeTopicList,
  parseJsonObject,
  type RemotingCommand,
  RequestCode,
  type RequestInit,
} from '../../protocol/index.ts';
import type { PeerClient } from '../door.ts';
import { createPeerClient } from '../peer-client.ts';
import { RouteCache } from '../route-cache.ts';

export type JsonMap = Record<string, unknown>;
type Ext = NonNullable<RequestInit['ext']>;

/** A broker of a cluster: one row per replica, id "0" is the master. */
export interface BrokerPlace {
  cluster: string;
  brokerName: string;
  brokerId: string;
  address: string;
}

export class AdminWire {
  readonly peer: PeerClient;
  readonly nameservers: readonly string[];
  readonly timeoutMs: number;
  #routes: RouteCache | undefined;

  constructor(options: { nameservers: readonly string[]; timeoutMs: number }) {
    this.peer = createPeerClient();
    this.nameservers = options.nameservers;
    this.timeoutMs = options.timeoutMs;
  }

  /** @throws DrError USAGE when no name server was given */
  get routes(): RouteCache {
    const { nameservers, timeoutMs } = this;
    this.#routes ??= new RouteCache(this.peer, { nameservers, timeoutMs });
    return this.#routes;
  }

  close(): void {
    this.#routes?.stop();
    this.peer.close();
  }

  call(address: string, code: number, ext: Ext = {}, body?: string): Promise<RemotingCommand> {
    const request = body === undefined ? { code, ext } : { code, ext, body };
    return this.peer.call(address, request, this.timeoutMs);
  }

  /** The JSON body of an answer. @throws DrError PROTOCOL when it is none */
  async json(address: string, code: number, ext: Ext = {}, body?: string): Promise<JsonMap> {
    return parseJsonObject((await this.call(address, code, ext, body)).body);
  }

  /** The first name server that answers. */
  ask(code: number, ext: Ext = {}): Promise<RemotingCommand> {
    return this.routes.ask((address, ms) => this.peer.call(address, { code, ext }, ms));
  }

  /** Every name server; they do not talk to each other, so all must be told. @throws the first error */
  async tellAll(code: number, ext: Ext = {}, body?: string): Promise<Map<string, RemotingCommand>> {
    if (this.nameservers.length === 0) throw new DrError('USAGE', 'no name server given');
    const answers = new Map<string, RemotingCommand>();
    for (const address of this.nameservers) {
      answers.set(address, await this.call(address, code, ext, body));
    }
    return answers;
  }

  async cluster(): Promise<ClusterInfo> {
    return decodeClusterInfo((await this.ask(RequestCode.GET_BROKER_CLUSTER_INFO)).body);
  }

  /**
   * Brokers of one cluster, or of all.
   * @throws DrError NOT_FOUND when the cluster is not known; context.known names those that are
   */
  async places(cluster?: string): Promise<BrokerPlace[]> {
    const info = await this.cluster();
    const known = Object.keys(info.clusterAddrTable);
    if (cluster !== undefined && !known.includes(cluster)) {
      const hint = `known clusters: ${known.join(', ') || 'none'}`;
      throw new DrError('NOT_FOUND', `no cluster ${cluster}`, { hint, context: { known } });
    }
    const wanted = cluster === undefined ? known.sort() : [cluster];
    return wanted.flatMap((name) =>
      [...(info.clusterAddrTable[name] ?? [])].sort().flatMap((brokerName) => {
        const replicas = Object.entries(info.brokerAddrTable[brokerName]?.brokerAddrs ?? {});
        return replicas
          .sort(([left], [right]) => Number(left) - Number(right))
          .map(([brokerId, address]) => ({ cluster: name, brokerName, brokerId, address }));
      }),
    );
  }

  async masters(cluster?: string): Promise<BrokerPlace[]> {
    return (await this.places(cluster)).filter((place) => place.brokerId === '0');
  }

  /** Every topic the name servers know, sorted. */
  async topics(): Promise<string[]> {
    const answer = await this.ask(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER);
    return decodeTopicList(answer.body).sort();
  }
}
