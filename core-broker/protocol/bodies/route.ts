// Route of a topic and the cluster table, as name servers answer them.
// Invariant: written compact with quoted keys. Go cuts the text of brokerAddrs at `,` and `:`, and every
// Java version reads quoted integer keys.
// Source: TopicRouteData, BrokerData, QueueData, ClusterInfo.
import { parseJsonObject } from '../wire/index.ts';
import {
  arrayOr,
  asObject,
  booleanOr,
  mapValues,
  numberOr,
  objectOr,
  textMap,
  textOr,
  texts,
} from './fields.ts';

export interface BrokerData {
  /** Broker id (text) -> host:port; "0" is the master. */
  brokerAddrs: Record<string, string>;
  brokerName: string;
  cluster: string;
  enableActingMaster: boolean;
  zoneName?: string;
}

export interface QueueData {
  brokerName: string;
  perm: number;
  readQueueNums: number;
  topicSysFlag: number;
  writeQueueNums: number;
}

export interface TopicRouteData {
  brokerDatas: BrokerData[];
  filterServerTable: Record<string, string[]>;
  orderTopicConf?: string;
  queueDatas: QueueData[];
  /** Static topics (5.x): broker name -> mapping, handed on unread. */
  topicQueueMappingByBroker?: Record<string, unknown>;
}

export interface ClusterInfo {
  brokerAddrTable: Record<string, BrokerData>;
  clusterAddrTable: Record<string, string[]>;
}

export function readBrokerData(value: unknown): BrokerData {
  const fields = asObject(value, 'BrokerData');
  return {
    brokerAddrs: textMap(fields['brokerAddrs']),
    brokerName: textOr(fields['brokerName'], ''),
    cluster: textOr(fields['cluster'], ''),
    enableActingMaster: booleanOr(fields['enableActingMaster'], false),
  };
}

function readQueueData(value: unknown): QueueData {
  const fields = asObject(value, 'QueueData');
  return {
    brokerName: textOr(fields['brokerName'], ''),
    perm: numberOr(fields['perm'], 0),
    readQueueNums: numberOr(fields['readQueueNums'], 0),
    topicSysFlag: numberOr(fields['topicSysFlag'] ?? fields['topicSynFlag'], 0),
    writeQueueNums: numberOr(fields['writeQueueNums'], 0),
  };
}

/** @throws DrError PROTOCOL */
export function decodeTopicRoute(body: Uint8Array | string | undefined): TopicRouteData {
  const fields = parseJsonObject(body);
  const route: TopicRouteData = {
    brokerDatas: arrayOr(fields['brokerDatas']).map(readBrokerData),
    filterServerTable: mapValues(fields['filterServerTable'], texts),
    queueDatas: arrayOr(fields['queueDatas']).map(readQueueData),
  };
  const order = fields['orderTopicConf'];
  if (typeof order === 'string') route.orderTopicConf = order;
  return route;
}

export const encodeTopicRoute = (route: TopicRouteData): string => JSON.stringify(route);

/** @throws DrError PROTOCOL */
export function decodeClusterInfo(body: Uint8Array | string | undefined): ClusterInfo {
  const fields = parseJsonObject(body);
  return {
    brokerAddrTable: mapValues(fields['brokerAddrTable'], readBrokerData),
    clusterAddrTable: mapValues(fields['clusterAddrTable'], texts),
  };
}

/** Body `{"topicList":[...]}` of several requests. @throws DrError PROTOCOL */
export const decodeTopicList = (body: Uint8Array | string | undefined): string[] =>
  texts(parseJsonObject(body)['topicList']);

/** Body `{"table":{...}}`: broker runtime info and key-value namespaces. @throws DrError PROTOCOL */
export const decodeKvTable = (body: Uint8Array | string | undefined): Record<string, string> =>
  textMap(objectOr(parseJsonObject(body)['table']));
