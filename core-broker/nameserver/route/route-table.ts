// What brokers told us: brokers by name, queues by topic and broker, and who is alive. Pure state: time
// comes in as an argument, closing sockets and notifying members is the caller's part (see Effects).
// Invariants: an address stands under one broker id of its name; a registration is either taken whole
// or changes nothing; stateVersion is the fencing token: a smaller one never displaces a larger one.
// Divergence from Apache: refusals are decided before anything is changed (Apache leaves an empty broker
// behind). Source: RouteInfoManager of Apache 5.5.0, behaviour only.
import {
  type BrokerData,
  type DataVersion,
  MASTER_ID,
  Perm,
  type QueueData,
  sameDataVersion,
  type TopicConfig,
} from '../../protocol/index.ts';

/** One decoded REGISTER_BROKER. */
export interface Registration {
  clusterName: string;
  brokerName: string;
  brokerAddr: string;
  brokerId: number;
  haServerAddr: string;
  zoneName: string | undefined;
  /** Undefined = the broker did not send it (4.9). */
  enableActingMaster: boolean | undefined;
  timeoutMs: number;
  dataVersion: DataVersion;
  topics: Map<string, TopicConfig>;
  filterServers: string[];
  /** Queue mappings of static topics by topic; passed through to route answers. */
  queueMappings: Map<string, unknown>;
}

export interface LiveBroker {
  clusterName: string;
  brokerName: string;
  address: string;
  haServerAddr: string;
  dataVersion: DataVersion;
  lastSeenMs: number;
  timeoutMs: number;
  /** Connection whose end unregisters the broker. */
  connectionId: number;
}

export interface MinIdChange {
  brokerName: string;
  /** Smallest id now, and its address. */
  minBrokerId: number;
  minBrokerAddr: string;
  /** Set when an address went away. */
  offlineBrokerAddr: string | undefined;
  haBrokerAddr: string | undefined;
  /** Members to tell. */
  targets: string[];
}

export type RegisterOutcome =
  | { kind: 'taken'; haServerAddr: string; masterAddr: string; change: MinIdChange | undefined }
  /** An address with a larger stateVersion holds the id: no effect. */
  | { kind: 'fenced'; heldBy: string }
  | { kind: 'refused'; reason: string };

export interface TableRules {
  supportActingMaster: boolean;
  deleteTopicWithBrokerRegistration: boolean;
}

export interface BrokerEntry {
  cluster: string;
  brokerName: string;
  addrs: Map<number, string>;
  enableActingMaster: boolean;
  zoneName: string | undefined;
}

const WRITE = Perm.WRITE;
const READ_WRITE = Perm.READ | Perm.WRITE;
export const DEFAULT_TIMEOUT_MS = 120_000;

/** Broker a mapping speaks of: Apache files it under that name, not under the sender's. */
function mappedBroker(mapping: unknown): string | undefined {
  const name = (mapping as { bname?: unknown } | null)?.bname;
  return typeof name === 'string' ? name : undefined;
}

const liveKey = (cluster: string, address: string): string => `${cluster}\n${address}`;
const minId = (addrs: Map<number, string>): number => Math.min(...addrs.keys());

export class RouteTable {
  /** Live object: code 318 changes its fields. */
  readonly #rules: TableRules;
  readonly brokers = new Map<string, BrokerEntry>();
  /** Topic -> broker name -> queues. */
  readonly topics = new Map<string, Map<string, QueueData>>();
  readonly live = new Map<string, LiveBroker>();
  readonly #filters = new Map<string, string[]>();
  /** Topic -> broker name -> mapping of a static topic. */
  readonly #mappings = new Map<string, Map<string, unknown>>();

  constructor(rules: TableRules) {
    this.#rules = rules;
  }

  /** Takes or refuses one registration; the order of checks is Apache's. */
  register(request: Registration, connectionId: number, nowMs: number): RegisterOutcome {
    const known = this.brokers.get(request.brokerName);
    const holder = known?.addrs.get(request.brokerId);
    if (holder !== undefined && holder !== request.brokerAddr) {
      const held = this.live.get(liveKey(request.clusterName, holder));
      if (held && held.dataVersion.stateVersion > request.dataVersion.stateVersion) {
        this.live.delete(liveKey(request.clusterName, request.brokerAddr));
        return { kind: 'fenced', heldBy: holder };
      }
    }
    // Why: a broker that met an empty name server with an incremental registration would leave one
    // topic behind under its full data version, and its next full registration would look unchanged.
    if (holder === undefined && request.topics.size === 1) {
      return { kind: 'refused', reason: 'register broker failed' };
    }
    return this.#take(request, known, { connectionId, nowMs });
  }

  #take(
    request: Registration,
    known: BrokerEntry | undefined,
    by: { connectionId: number; nowMs: number },
  ): RegisterOutcome {
    this.#leaveOtherName(request);
    const broker = known ?? this.#addBroker(request);
    broker.enableActingMaster = request.enableActingMaster ?? false;
    broker.zoneName = request.zoneName;
    const previousMin = broker.addrs.size > 0 ? minId(broker.addrs) : undefined;
    for (const [id, address] of broker.addrs) {
      if (address === request.brokerAddr && id !== request.brokerId) broker.addrs.delete(id);
    }
    const isFirst = !known || !broker.addrs.has(request.brokerId);
    broker.addrs.set(request.brokerId, request.brokerAddr);
    this.#takeTopics(request, broker, isFirst);
    this.#takeLiveness(request, by);
    const master = this.#masterFor(request, broker);
    const isNewMin = previousMin !== undefined && request.brokerId < previousMin;
    const change = isNewMin
      ? this.#minIdChange(broker, undefined, request.haServerAddr)
      : undefined;
    return { kind: 'taken', ...master, change };
  }

  /** Why: liveness is kept per address; a renamed broker would leave its old name behind for ever. */
  #leaveOtherName(request: Registration): void {
    const held = this.live.get(liveKey(request.clusterName, request.brokerAddr));
    if (!held || held.brokerName === request.brokerName) return;
    this.unregister(held.clusterName, held.address, held.brokerName);
  }

  #addBroker(request: Registration): BrokerEntry {
    const broker: BrokerEntry = {
      cluster: request.clusterName,
      brokerName: request.brokerName,
      addrs: new Map(),
      enableActingMaster: false,
      zoneName: undefined,
    };
    this.brokers.set(request.brokerName, broker);
    return broker;
  }

  /** Queue data comes from id 0, or from the smallest slave of a group with acting masters. */
  #takeTopics(request: Registration, broker: BrokerEntry, isFirst: boolean): void {
    const isMaster = request.brokerId === MASTER_ID;
    const isPrimeSlave =
      !isMaster &&
      request.enableActingMaster !== undefined &&
      request.brokerId === minId(broker.addrs);
    if (!isMaster && !isPrimeSlave) return;
    const isChanged =
      isFirst || this.isChanged(request.clusterName, request.brokerAddr, request.dataVersion);
    if (this.#rules.deleteTopicWithBrokerRegistration && request.queueMappings.size === 0) {
      this.#dropUnnamed(request);
    }
    const stripped = isPrimeSlave && broker.enableActingMaster ? ~WRITE : ~0;
    for (const [topic, config] of request.topics) {
      if (!isChanged && this.topics.get(topic)?.has(request.brokerName)) continue;
      this.putQueues(topic, {
        brokerName: request.brokerName,
        readQueueNums: config.readQueueNums,
        writeQueueNums: config.writeQueueNums,
        perm: config.perm & stripped,
        topicSysFlag: config.topicSysFlag,
      });
    }
    if (isChanged) this.#takeMappings(request);
  }

  #dropUnnamed(request: Registration): void {
    for (const [topic, queues] of this.topics) {
      if (queues.has(request.brokerName) && !request.topics.has(topic)) {
        this.#removeQueues(topic, request.brokerName);
      }
    }
  }

  #takeMappings(request: Registration): void {
    for (const [topic, mapping] of request.queueMappings) {
      const byBroker = this.#mappings.get(topic) ?? new Map<string, unknown>();
      byBroker.set(mappedBroker(mapping) ?? request.brokerName, mapping);
      this.#mappings.set(topic, byBroker);
    }
  }

  #takeLiveness(request: Registration, by: { connectionId: number; nowMs: number }): void {
    this.live.set(liveKey(request.clusterName, request.brokerAddr), {
      clusterName: request.clusterName,
      brokerName: request.brokerName,
      address: request.brokerAddr,
      haServerAddr: request.haServerAddr,
      dataVersion: request.dataVersion,
      lastSeenMs: by.nowMs,
      timeoutMs: request.timeoutMs,
      connectionId: by.connectionId,
    });
    if (request.filterServers.length === 0) this.#filters.delete(request.brokerAddr);
    else this.#filters.set(request.brokerAddr, request.filterServers);
  }

  #masterFor(request: Registration, broker: BrokerEntry) {
    const none = { haServerAddr: '', masterAddr: '' };
    if (request.brokerId === MASTER_ID) return none;
    const masterAddr = broker.addrs.get(MASTER_ID);
    if (masterAddr === undefined) return none;
    const master = this.live.get(liveKey(request.clusterName, masterAddr));
    return master ? { haServerAddr: master.haServerAddr, masterAddr } : none;
  }

  /** Adds or replaces the queues of one broker for a topic (registration and code 217). */
  putQueues(topic: string, queues: QueueData): void {
    const byBroker = this.topics.get(topic) ?? new Map<string, QueueData>();
    byBroker.set(queues.brokerName, queues);
    this.topics.set(topic, byBroker);
  }

  /** True when the data version differs from the one this address registered with, or none is known. */
  isChanged(cluster: string, address: string, version: DataVersion): boolean {
    const known = this.live.get(liveKey(cluster, address));
    return known === undefined || !sameDataVersion(known.dataVersion, version);
  }

  liveBroker(cluster: string, address: string): LiveBroker | undefined {
    return this.live.get(liveKey(cluster, address));
  }

  /** A sign of life without data (codes 904 and 322). */
  refresh(cluster: string, address: string, nowMs: number): void {
    const known = this.live.get(liveKey(cluster, address));
    if (known) known.lastSeenMs = nowMs;
  }

  /** Removes one address; the last one of a name takes its queues along. */
  unregister(cluster: string, address: string, brokerName: string): MinIdChange | undefined {
    this.live.delete(liveKey(cluster, address));
    this.#filters.delete(address);
    const broker = this.brokers.get(brokerName);
    if (!broker) return undefined;
    const ids = [...broker.addrs].filter(([, held]) => held === address).map(([id]) => id);
    if (ids.length === 0) return undefined;
    const wasMin = ids.includes(minId(broker.addrs));
    for (const id of ids) broker.addrs.delete(id);
    if (broker.addrs.size === 0) {
      this.#removeBroker(brokerName);
      return undefined;
    }
    if (broker.enableActingMaster && !broker.addrs.has(MASTER_ID)) this.#stripWrite(brokerName);
    if (!wasMin || !broker.enableActingMaster) return undefined;
    return this.#minIdChange(broker, address, undefined);
  }

  #removeBroker(brokerName: string): void {
    this.brokers.delete(brokerName);
    for (const topic of [...this.topics.keys()]) this.#removeQueues(topic, brokerName);
  }

  #removeQueues(topic: string, brokerName: string): void {
    const byBroker = this.topics.get(topic);
    byBroker?.delete(brokerName);
    if (byBroker?.size === 0) this.topics.delete(topic);
    const mappings = this.#mappings.get(topic);
    mappings?.delete(brokerName);
    if (mappings?.size === 0) this.#mappings.delete(topic);
  }

  #stripWrite(brokerName: string): void {
    for (const byBroker of this.topics.values()) {
      const queues = byBroker.get(brokerName);
      if (queues) queues.perm &= ~WRITE;
    }
  }

  #minIdChange(
    broker: BrokerEntry,
    offlineBrokerAddr: string | undefined,
    haBrokerAddr: string | undefined,
  ): MinIdChange {
    const minBrokerId = minId(broker.addrs);
    const isAlone = broker.addrs.size === 1;
    const targets = [...broker.addrs]
      .filter(([id]) => isAlone || offlineBrokerAddr !== undefined || id !== minBrokerId)
      .map(([, address]) => address);
    return {
      brokerName: broker.brokerName,
      minBrokerId,
      minBrokerAddr: broker.addrs.get(minBrokerId) ?? '',
      offlineBrokerAddr,
      haBrokerAddr,
      targets,
    };
  }

  /** Live entries that a closed connection takes along. */
  onConnection(connectionId: number): LiveBroker[] {
    return [...this.live.values()].filter((broker) => broker.connectionId === connectionId);
  }

  /** Entries silent longer than their timeout. */
  expired(nowMs: number): LiveBroker[] {
    return [...this.live.values()].filter((b) => nowMs - b.lastSeenMs > b.timeoutMs);
  }

  /** Withdraws (perm without W) or restores (perm 6) writing to a broker; returns topics touched. */
  setWritable(brokerName: string, isWritable: boolean): number {
    let touched = 0;
    for (const byBroker of this.topics.values()) {
      const queues = byBroker.get(brokerName);
      if (!queues) continue;
      queues.perm = isWritable ? READ_WRITE : queues.perm & ~WRITE;
      touched++;
    }
    return touched;
  }

  /** Removes a topic from all brokers, or from those of one cluster. */
  deleteTopic(topic: string, cluster: string | undefined): void {
    for (const brokerName of [...(this.topics.get(topic)?.keys() ?? [])]) {
      const isMeant = cluster === undefined || this.brokers.get(brokerName)?.cluster === cluster;
      if (isMeant) this.#removeQueues(topic, brokerName);
    }
  }

  filterServersOf(address: string): string[] | undefined {
    return this.#filters.get(address);
  }

  mappingsOf(topic: string): Map<string, unknown> | undefined {
    return this.#mappings.get(topic);
  }

  /** Wire form of one broker entry. */
  brokerData(entry: BrokerEntry): BrokerData {
    const ids = [...entry.addrs.keys()].sort((left, right) => left - right);
    return {
      brokerAddrs: Object.fromEntries(ids.map((id) => [id, entry.addrs.get(id) ?? ''])),
      brokerName: entry.brokerName,
      cluster: entry.cluster,
      enableActingMaster: entry.enableActingMaster,
      ...(entry.zoneName === undefined ? {} : { zoneName: entry.zoneName }),
    };
  }
}
