// What a regional name server answers, code by code. Handlers are synchronous: one request is one tick,
// so that answers never mix two states. They see the world through RegionalState and answer plain values;
// sockets, timers and notifications belong to name-server.ts.
// Source: DefaultRequestProcessor and ClientRequestProcessor of Apache 5.5.0, behaviour only.
import type { Clock } from '../../base/index.ts';
import {
  decodeTopicRoute,
  parseJsonObject,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
  readDataVersion,
} from '../../protocol/index.ts';
import type { NameserverConfig } from '../config/load.ts';
import {
  clusterInfo,
  isZoned,
  ofZone,
  systemTopics,
  topicRoute,
  topicsOfCluster,
  type UnitKind,
  unitTopics,
} from '../route/route-answer.ts';
import type { LiveBroker, MinIdChange, RouteTable } from '../route/route-table.ts';
import { type KvConfig, ORDER_TOPIC_CONFIG } from './kv-config.ts';
import { decodeRegistration, field } from './registration.ts';
import { settingsText, updateSettings } from './settings-file.ts';

export interface RegionalState {
  readonly config: NameserverConfig;
  readonly table: RouteTable;
  readonly kv: KvConfig;
  readonly clock: Clock;
  /** Monotonic ms of the start, for needWaitForService. */
  startedAtMs: number;
  /** Tells group members about a new smallest broker id. */
  notify(change: MinIdChange): void;
  /** One registration was judged. */
  registered(outcome: 'taken' | 'fenced' | 'refused'): void;
  /** A broker went away on its own request. */
  unregister(broker: Pick<LiveBroker, 'clusterName' | 'address' | 'brokerName'>): void;
}

/** @param connectionId connection the request came on: its end unregisters the broker */
export type RegionalHandler = (request: RemotingCommand, connectionId: number) => ResponseInit;

const OK: ResponseInit = { code: ResponseCode.SUCCESS };
const DISABLED: ResponseInit = { code: ResponseCode.SYSTEM_ERROR, remark: 'disable' };
const FAQ = 'See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.';

const json = (value: unknown): ResponseInit => ({ code: 0, body: JSON.stringify(value) });
const missing = (remark: string): ResponseInit => ({
  code: ResponseCode.QUERY_NOT_FOUND,
  remark,
});

/** The dispatch table of a regional name server. */
export function regionalHandlers(state: RegionalState): Map<number, RegionalHandler> {
  return new Map<number, RegionalHandler>([
    [RequestCode.GET_ROUTEINFO_BY_TOPIC, (request) => route(state, request)],
    [RequestCode.REGISTER_BROKER, (request, id) => register(state, request, id)],
    [RequestCode.UNREGISTER_BROKER, (request) => unregister(state, request)],
    [RequestCode.BROKER_HEARTBEAT, (request) => heartbeat(state, request)],
    [RequestCode.QUERY_DATA_VERSION, (request) => dataVersion(state, request)],
    ...brokerHandlers(state),
    ...topicHandlers(state),
    ...configHandlers(state),
  ]);
}

function brokerHandlers(state: RegionalState): [number, RegionalHandler][] {
  const { table } = state;
  return [
    [RequestCode.GET_BROKER_CLUSTER_INFO, () => json(clusterInfo(table))],
    [RequestCode.GET_BROKER_MEMBER_GROUP, (request) => memberGroup(state, request)],
    [
      RequestCode.WIPE_WRITE_PERM_OF_BROKER,
      (request) => {
        const wipeTopicCount = table.setWritable(field(request, 'brokerName'), false);
        return { code: 0, ext: { wipeTopicCount } };
      },
    ],
    [
      RequestCode.ADD_WRITE_PERM_OF_BROKER,
      (request) => {
        const addTopicCount = table.setWritable(field(request, 'brokerName'), true);
        return { code: 0, ext: { addTopicCount } };
      },
    ],
  ];
}

function topicHandlers(state: RegionalState): [number, RegionalHandler][] {
  const { table } = state;
  const { settings } = state.config;
  const list = (topics: () => object): RegionalHandler => {
    return () => (settings.enableTopicList ? json(topics()) : DISABLED);
  };
  const units = (kind: UnitKind) => list(() => ({ topicList: unitTopics(table, kind) }));
  return [
    [
      RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER,
      () =>
        settings.enableAllTopicList ? json({ topicList: [...table.topics.keys()] }) : DISABLED,
    ],
    [
      RequestCode.GET_TOPICS_BY_CLUSTER,
      (request) => {
        const cluster = field(request, 'cluster');
        if (!settings.enableTopicList) return DISABLED;
        return json({ topicList: topicsOfCluster(table, cluster) });
      },
    ],
    [RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_NS, () => json(systemTopics(table))],
    [RequestCode.GET_UNIT_TOPIC_LIST, units('unit')],
    [RequestCode.GET_HAS_UNIT_SUB_TOPIC_LIST, units('unit-sub')],
    [RequestCode.GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, units('unit-sub-not-unit')],
    [
      RequestCode.DELETE_TOPIC_IN_NAMESRV,
      (request) => {
        table.deleteTopic(field(request, 'topic'), request.ext['clusterName'] || undefined);
        return OK;
      },
    ],
    [RequestCode.REGISTER_TOPIC_IN_NAMESRV, (request) => registerTopic(state, request)],
  ];
}

function configHandlers(state: RegionalState): [number, RegionalHandler][] {
  const { kv, config } = state;
  return [
    [
      RequestCode.PUT_KV_CONFIG,
      (request) => {
        kv.put(field(request, 'namespace'), field(request, 'key'), field(request, 'value'));
        return OK;
      },
    ],
    [
      RequestCode.GET_KV_CONFIG,
      (request) => {
        const [namespace, key] = [field(request, 'namespace'), field(request, 'key')];
        const value = kv.get(namespace, key);
        if (value !== undefined) return { code: 0, ext: { value } };
        return missing(`No config item, Namespace: ${namespace} Key: ${key}`);
      },
    ],
    [
      RequestCode.DELETE_KV_CONFIG,
      (request) => {
        kv.delete(field(request, 'namespace'), field(request, 'key'));
        return OK;
      },
    ],
    [
      RequestCode.GET_KVLIST_BY_NAMESPACE,
      (request) => {
        const namespace = field(request, 'namespace');
        const table = kv.list(namespace);
        return table ? json({ table }) : missing(`No config item, Namespace: ${namespace}`);
      },
    ],
    [RequestCode.GET_NAMESRV_CONFIG, () => ({ code: 0, body: settingsText(config) })],
    [RequestCode.UPDATE_NAMESRV_CONFIG, (request) => updateConfig(state, request)],
  ];
}

function route(state: RegionalState, request: RemotingCommand): ResponseInit {
  const { settings } = state.config;
  const topic = field(request, 'topic');
  const ageMs = state.clock.monotonicMs() - state.startedAtMs;
  if (settings.needWaitForService && ageMs < settings.waitSecondsForService * 1000) {
    return { code: ResponseCode.SYSTEM_ERROR, remark: 'name server not ready' };
  }
  const orderTopicConf = settings.orderMessageEnable
    ? state.kv.get(ORDER_TOPIC_CONFIG, topic)
    : undefined;
  const { supportActingMaster } = settings;
  const found = topicRoute(state.table, topic, { supportActingMaster, orderTopicConf });
  if (!found) return unknownTopic(topic);
  return json(isZoned(request.ext) ? ofZone(found, request.ext['__ZONE_NAME'] ?? '') : found);
}

/** The answer for a topic that no broker has; its remark is what Apache's tools show. */
export function unknownTopic(topic: string): ResponseInit {
  return {
    code: ResponseCode.TOPIC_NOT_EXIST,
    remark: `No topic route info in name server for the topic: ${topic}\n${FAQ}`,
  };
}

function register(state: RegionalState, request: RemotingCommand, id: number): ResponseInit {
  const decoded = decodeRegistration(request);
  const outcome = state.table.register(decoded, id, state.clock.monotonicMs());
  state.registered(outcome.kind);
  if (outcome.kind === 'refused') {
    return { code: ResponseCode.SYSTEM_ERROR, remark: outcome.reason };
  }
  const ext = outcome.kind === 'taken' ? masterFields(outcome) : {};
  if (outcome.kind === 'taken' && outcome.change) state.notify(outcome.change);
  const orders = state.config.settings.returnOrderTopicConfigToBroker
    ? state.kv.list(ORDER_TOPIC_CONFIG)
    : undefined;
  return { code: 0, ext, ...(orders && { body: JSON.stringify({ table: orders }) }) };
}

/** Why: an empty text would be read as an address; absent is read as "no master". */
function masterFields(from: { haServerAddr: string; masterAddr: string }) {
  return {
    haServerAddr: from.haServerAddr || undefined,
    masterAddr: from.masterAddr || undefined,
  };
}

function unregister(state: RegionalState, request: RemotingCommand): ResponseInit {
  state.unregister({
    clusterName: field(request, 'clusterName'),
    address: field(request, 'brokerAddr'),
    brokerName: field(request, 'brokerName'),
  });
  return OK;
}

function heartbeat(state: RegionalState, request: RemotingCommand): ResponseInit {
  const [cluster, address] = [field(request, 'clusterName'), field(request, 'brokerAddr')];
  state.table.refresh(cluster, address, state.clock.monotonicMs());
  return OK;
}

function dataVersion(state: RegionalState, request: RemotingCommand): ResponseInit {
  const [cluster, address] = [field(request, 'clusterName'), field(request, 'brokerAddr')];
  const asked = readDataVersion(parseJsonObject(request.body));
  const changed = state.table.isChanged(cluster, address, asked);
  state.table.refresh(cluster, address, state.clock.monotonicMs());
  const known = state.table.liveBroker(cluster, address)?.dataVersion;
  return { code: 0, ext: { changed }, ...(known && { body: JSON.stringify(known) }) };
}

function memberGroup(state: RegionalState, request: RemotingCommand): ResponseInit {
  const [cluster, brokerName] = [field(request, 'clusterName'), field(request, 'brokerName')];
  const entry = state.table.brokers.get(brokerName);
  const brokerAddrs = entry ? state.table.brokerData(entry).brokerAddrs : {};
  return json({ brokerMemberGroup: { brokerAddrs, brokerName, cluster } });
}

/** Code 217: a broker announces one topic outside its registration. */
function registerTopic(state: RegionalState, request: RemotingCommand): ResponseInit {
  const topic = field(request, 'topic');
  for (const queues of decodeTopicRoute(request.body).queueDatas) {
    if (!state.table.brokers.has(queues.brokerName)) return OK;
    state.table.putQueues(topic, queues);
  }
  return OK;
}

function updateConfig(state: RegionalState, request: RemotingCommand): ResponseInit {
  const outcome = updateSettings(state.config, request.body?.toString('utf8') ?? '');
  if (outcome.kind === 'done') return OK;
  if (outcome.kind === 'bad') return { code: ResponseCode.SYSTEM_ERROR, remark: outcome.why };
  return {
    code: ResponseCode.NO_PERMISSION,
    remark: 'Can not update config in black list.',
  };
}
