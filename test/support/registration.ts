// Registrations as a broker would send them, for tests of the name servers: the decoded form for the
// route table and the wire form (ext fields and JSON body) for sockets.
import type { Registration } from '../../core-broker/nameserver/route/route-table.ts';
import type { DataVersion, RequestInit, TopicConfig } from '../../core-broker/protocol/index.ts';

export const version = (counter: number, stateVersion = 0): DataVersion => ({
  counter,
  stateVersion,
  timestamp: 1_700_000_000_000,
});

export const topic = (name: string, changes: Partial<TopicConfig> = {}): TopicConfig =>
  ({
    topicName: name,
    readQueueNums: 4,
    writeQueueNums: 4,
    perm: 6,
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
    attributes: {},
    ...changes,
  }) as TopicConfig;

export function registration(
  changes: Partial<Registration> & { topicNames?: string[] } = {},
): Registration {
  const { topicNames = ['orders', 'TBW102'], ...rest } = changes;
  return {
    clusterName: 'C',
    brokerName: 'broker-a',
    brokerAddr: '10.0.0.1:10911',
    brokerId: 0,
    haServerAddr: '10.0.0.1:10912',
    zoneName: undefined,
    enableActingMaster: undefined,
    timeoutMs: 120_000,
    dataVersion: version(1),
    topics: new Map(topicNames.map((name) => [name, topic(name)])),
    filterServers: [],
    queueMappings: new Map(),
    ...rest,
  };
}

/** The same as a REGISTER_BROKER request with an uncompressed body. */
export function registerRequest(from: Registration): RequestInit {
  return {
    code: 103,
    ext: {
      brokerName: from.brokerName,
      brokerAddr: from.brokerAddr,
      clusterName: from.clusterName,
      haServerAddr: from.haServerAddr,
      brokerId: from.brokerId,
      heartbeatTimeoutMillis: from.timeoutMs,
      enableActingMaster: from.enableActingMaster,
      compressed: false,
      bodyCrc32: 0,
    },
    body: JSON.stringify({
      filterServerList: from.filterServers,
      topicConfigSerializeWrapper: {
        dataVersion: from.dataVersion,
        topicConfigTable: Object.fromEntries(from.topics),
      },
    }),
  };
}
