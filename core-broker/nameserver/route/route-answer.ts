// The bodies a name server answers with, built from the route table. JSON is compact and strict with
// quoted numeric keys: every Java version reads that, and the Go client splits the text at `,` and `:`.
// Source: TopicRouteData, ClusterInfo and TopicList of Apache.
import {
  type BrokerData,
  MASTER_ID,
  Perm,
  type TopicRouteData,
  TopicSysFlag,
} from '../../protocol/index.ts';
import type { RouteTable } from './route-table.ts';

const MEMBER_TOPIC_PREFIX = 'rmq_sys_SYNC_BROKER_MEMBER_';

export interface RouteOptions {
  supportActingMaster: boolean;
  /** Value for orderTopicConf, when routes carry it. */
  orderTopicConf: string | undefined;
}

/** Route of one topic, or undefined when no broker has it. */
export function topicRoute(
  table: RouteTable,
  topic: string,
  options: RouteOptions,
): TopicRouteData | undefined {
  const byBroker = table.topics.get(topic);
  if (!byBroker) return undefined;
  const entries = [...byBroker.keys()].flatMap((name) => table.brokers.get(name) ?? []);
  if (entries.length === 0) return undefined;
  const brokerDatas = entries.map((entry) => table.brokerData(entry));
  const queueDatas = [...byBroker.values()];
  const mappings = table.mappingsOf(topic);
  const route: TopicRouteData = {
    brokerDatas,
    filterServerTable: filterServers(table, brokerDatas),
    queueDatas,
  };
  if (options.orderTopicConf !== undefined) route.orderTopicConf = options.orderTopicConf;
  if (mappings && mappings.size > 0) route.topicQueueMappingByBroker = Object.fromEntries(mappings);
  if (options.supportActingMaster && !topic.startsWith(MEMBER_TOPIC_PREFIX)) {
    for (const broker of brokerDatas) presentActingMaster(broker, byBroker.get(broker.brokerName));
  }
  return route;
}

function filterServers(table: RouteTable, brokers: BrokerData[]): Record<string, string[]> {
  const pairs = brokers
    .flatMap((broker) => Object.values(broker.brokerAddrs))
    .map((address) => [address, table.filterServersOf(address)] as const)
    .filter(([, servers]) => servers !== undefined);
  return Object.fromEntries(pairs) as Record<string, string[]>;
}

/** The smallest slave of a read-only group without a master is shown as id 0. */
function presentActingMaster(broker: BrokerData, queues: { perm: number } | undefined): void {
  const ids = Object.keys(broker.brokerAddrs).map(Number);
  if (!broker.enableActingMaster || ids.length === 0 || ids.includes(MASTER_ID)) return;
  if (!queues || (queues.perm & Perm.WRITE) !== 0) return;
  const smallest = Math.min(...ids);
  const address = broker.brokerAddrs[smallest] ?? '';
  delete broker.brokerAddrs[smallest];
  broker.brokerAddrs[MASTER_ID] = address;
}

/** The client asked for brokers near it: `__ZONE_MODE` with a zone name. */
export const isZoned = (ext: Record<string, string>): boolean =>
  ext['__ZONE_MODE']?.toLowerCase() === 'true' && (ext['__ZONE_NAME'] ?? '').trim() !== '';

/** The route without brokers of other zones; a group whose master is away stays, to be read from. */
export function ofZone(route: TopicRouteData, zone: string): TopicRouteData {
  const isNear = (broker: BrokerData) =>
    broker.brokerAddrs[MASTER_ID] === undefined ||
    broker.zoneName?.toLowerCase() === zone.toLowerCase();
  const far = route.brokerDatas.filter((broker) => !isNear(broker));
  const farNames = new Set(far.map((broker) => broker.brokerName));
  const farAddresses = new Set(far.flatMap((broker) => Object.values(broker.brokerAddrs)));
  const filters = Object.entries(route.filterServerTable).filter(([at]) => !farAddresses.has(at));
  return {
    ...route,
    brokerDatas: route.brokerDatas.filter(isNear),
    filterServerTable: Object.fromEntries(filters),
    queueDatas: route.queueDatas.filter((queues) => !farNames.has(queues.brokerName)),
  };
}

/** All brokers by name and by cluster (code 106). Why maps first: a name may be `__proto__`. */
export function clusterInfo(table: RouteTable) {
  const brokers = new Map<string, BrokerData>();
  const clusters = new Map<string, string[]>();
  for (const entry of table.brokers.values()) {
    brokers.set(entry.brokerName, table.brokerData(entry));
    clusters.set(entry.cluster, [...(clusters.get(entry.cluster) ?? []), entry.brokerName]);
  }
  return {
    brokerAddrTable: Object.fromEntries(brokers),
    clusterAddrTable: Object.fromEntries(clusters),
  };
}

/** Topics that a broker of this cluster has (code 224). */
export function topicsOfCluster(table: RouteTable, cluster: string): string[] {
  return [...table.topics]
    .filter(([, byBroker]) =>
      [...byBroker.keys()].some((name) => table.brokers.get(name)?.cluster === cluster),
    )
    .map(([topic]) => topic);
}

/** Cluster and broker names, which are topics of their own, and one address (code 304). */
export function systemTopics(table: RouteTable): { topicList: string[]; brokerAddr?: string } {
  const entries = [...table.brokers.values()];
  const names = [...new Set(entries.map((entry) => entry.cluster))];
  const topicList = [...names, ...entries.map((entry) => entry.brokerName)];
  const brokerAddr = entries.flatMap((entry) => [...entry.addrs.values()])[0];
  return brokerAddr === undefined ? { topicList } : { topicList, brokerAddr };
}

export type UnitKind = 'unit' | 'unit-sub' | 'unit-sub-not-unit';

/** Topics by their unit flags (codes 311, 312, 313), judged by the first broker, as Apache does. */
export function unitTopics(table: RouteTable, kind: UnitKind): string[] {
  return [...table.topics]
    .filter(([, byBroker]) => {
      const flag = [...byBroker.values()][0]?.topicSysFlag ?? 0;
      const isUnit = (flag & TopicSysFlag.UNIT) !== 0;
      const hasSub = (flag & TopicSysFlag.UNIT_SUB) !== 0;
      if (kind === 'unit') return isUnit;
      return hasSub && (kind === 'unit-sub' || !isUnit);
    })
    .map(([topic]) => topic);
}
