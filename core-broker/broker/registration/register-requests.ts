// The requests of a registration, made from the tables as they are now: whole or in pieces, plain or
// compressed, one topic alone, the question for the data version. Pure.
// Invariant: every piece but the last carries a data version of its own. A name server that holds the
// version of a piece would take the next piece for unchanged and keep old queue numbers and permissions.
// Source: BrokerController.registerBrokerAll and BrokerOuterAPI of Apache, behaviour only.
import {
  bodyCrc,
  encodeCompressedRegisterBody,
  encodeRegisterBody,
  RequestCode,
  type RequestInit,
  type TopicConfig,
  type TopicConfigTable,
} from '../../protocol/index.ts';
import type { BrokerConfig } from '../config/index.ts';
import type { TopicTable } from '../metadata/index.ts';

export interface RegistrationFacts {
  config: BrokerConfig;
  topics: TopicTable;
  /** host:port advertised to clients and to slaves. */
  addresses: { broker: string; ha: string };
  /** What brokerPermission and the role leave of each topic's permission. */
  mask: number;
}

/** All that one name server must be told, in order. */
export function registerRequests(facts: RegistrationFacts): RequestInit[] {
  return pieces(facts).map((table) => registerRequest(facts, table));
}

function pieces({ config, topics, mask }: RegistrationFacts): TopicConfigTable[] {
  const all = topics.all().map((topic) => masked(topic, mask));
  const size = config.enableSplitRegistration ? config.splitRegistrationSize : all.length;
  const count = Math.max(1, Math.ceil(all.length / Math.max(size, 1)));
  return Array.from({ length: count }, (_, at) => {
    const part = all.slice(at * size, (at + 1) * size);
    const dataVersion = { ...topics.version };
    dataVersion.counter -= count - 1 - at;
    const entries = part.map((topic) => [topic.topicName, topic] as const);
    return { dataVersion, topicConfigTable: Object.fromEntries(entries) };
  });
}

const masked = (topic: TopicConfig, mask: number): TopicConfig =>
  mask === 6 ? topic : { ...topic, perm: topic.perm & mask };

function registerRequest(facts: RegistrationFacts, table: TopicConfigTable): RequestInit {
  const { compressedRegister: compressed } = facts.config;
  const body = compressed
    ? encodeCompressedRegisterBody(table)
    : Buffer.from(encodeRegisterBody(table));
  const { ha: haServerAddr } = facts.addresses;
  const ext = { ...identity(facts), haServerAddr, compressed, bodyCrc32: bodyCrc(body) };
  return { code: RequestCode.REGISTER_BROKER, ext, body };
}

const identity = ({ config, addresses }: RegistrationFacts) => ({
  brokerAddr: addresses.broker,
  brokerId: config.brokerId,
  brokerName: config.brokerName,
  clusterName: config.brokerClusterName,
});

/** "Do you hold this version of my topics?" */
export const dataVersionRequest = (facts: RegistrationFacts): RequestInit => ({
  code: RequestCode.QUERY_DATA_VERSION,
  ext: identity(facts),
  body: JSON.stringify(facts.topics.version),
});

export const unregisterRequest = (facts: RegistrationFacts): RequestInit => ({
  code: RequestCode.UNREGISTER_BROKER,
  ext: identity(facts),
});

/** One topic without the rest (code 217). */
export function singleTopicRequest(facts: RegistrationFacts, topic: TopicConfig): RequestInit {
  const { readQueueNums, writeQueueNums, perm, topicSysFlag } = masked(topic, facts.mask);
  const { brokerName } = facts.config;
  const queues = { brokerName, readQueueNums, writeQueueNums, perm, topicSysFlag };
  return {
    code: RequestCode.REGISTER_TOPIC_IN_NAMESRV,
    ext: { topic: topic.topicName },
    body: JSON.stringify({ brokerDatas: [], filterServerTable: {}, queueDatas: [queues] }),
  };
}
