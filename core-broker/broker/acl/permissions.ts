// What a request touches and what an account may do: topics and groups with PUB and SUB, and the codes
// that need an administrator. A group is the resource `%RETRY%group`, so that its retry topic and the
// group itself are one thing. Stricter than Apache 4.9 where it lets through what it means to forbid:
// batches need PUB, codes that change or show accounts need an administrator, a send to a retry topic
// needs the group of that topic. Source: PlainAccessValidator, PlainAccessResource, Permission.
import {
  DR_CODE,
  decodeHeartbeat,
  type RemotingCommand,
  RequestCode,
} from '../../protocol/index.ts';

const RETRY_PREFIX = '%RETRY%';
export const TRACE_TOPIC = 'RMQ_SYS_TRACE_TOPIC';

/** Bits of Apache's Permission. */
export const Grant = { DENY: 1, PUB: 4, SUB: 8 } as const;

const GRANTS: ReadonlyMap<string, number> = new Map([
  ['DENY', Grant.DENY],
  ['PUB', Grant.PUB],
  ['SUB', Grant.SUB],
  ['PUB|SUB', Grant.PUB | Grant.SUB],
  ['SUB|PUB', Grant.PUB | Grant.SUB],
]);

export const GRANT_WORDS = 'DENY, PUB, SUB or PUB|SUB';

/** Bits of a permission text; undefined when it is none. */
export const grantOf = (text: string): number | undefined => GRANTS.get(text.trim());

export const retryTopicOf = (group: string): string => RETRY_PREFIX + group;

const ADMIN_CODES: ReadonlySet<number> = new Set([
  RequestCode.UPDATE_AND_CREATE_TOPIC,
  RequestCode.UPDATE_AND_CREATE_TOPIC_LIST,
  RequestCode.UPDATE_BROKER_CONFIG,
  RequestCode.DELETE_TOPIC_IN_BROKER,
  RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP,
  RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST,
  RequestCode.DELETE_SUBSCRIPTIONGROUP,
  RequestCode.UPDATE_AND_CREATE_ACL_CONFIG,
  RequestCode.DELETE_ACL_CONFIG,
  RequestCode.UPDATE_GLOBAL_WHITE_ADDRS_CONFIG,
  RequestCode.GET_BROKER_CLUSTER_ACL_CONFIG,
]);

export const needsAdmin = (code: number): boolean => ADMIN_CODES.has(code);

const DR_CODES: ReadonlySet<number> = new Set<number>(Object.values(DR_CODE));

/** DR control requests carry a signature of their own, with nonce and time (protocol/dr-auth.ts). */
export const isDrCode = (code: number): boolean => DR_CODES.has(code);

/** Resource -> bits needed; undefined when a valid signature is enough. */
export type Needs = ReadonlyMap<string, number> | undefined;

type Reader = (request: RemotingCommand) => [resource: string | undefined, bits: number][];

const group = (name: string | undefined): [string | undefined, number] => [
  name === undefined ? undefined : retryTopicOf(name),
  Grant.SUB,
];

const send =
  (field: string): Reader =>
  ({ ext }) => {
    const topic = ext[field];
    return [[topic, topic === undefined ? Grant.PUB : sendGrantOf(topic)]];
  };

const pull: Reader = ({ ext }) => [[ext['topic'], Grant.SUB], group(ext['consumerGroup'])];
const ofGroup: Reader = ({ ext }) => [group(ext['consumerGroup'])];

/** A reply goes to a topic of the broker, which stands for no topic of the users. */
const reply =
  (field: string): Reader =>
  (request) => {
    const topic = request.ext[field];
    return topic?.endsWith('_REPLY_TOPIC') === true ? [] : send(field)(request);
  };

const heartbeat: Reader = ({ body }) =>
  decodeHeartbeat(body).consumerDataSet.flatMap((consumer) => [
    group(consumer.groupName),
    ...consumer.subscriptionDataSet.map(({ topic }): [string, number] => [topic, Grant.SUB]),
  ]);

const READERS: ReadonlyMap<number, Reader> = new Map<number, Reader>([
  [RequestCode.SEND_MESSAGE, send('topic')],
  [RequestCode.SEND_MESSAGE_V2, send('b')],
  [RequestCode.SEND_BATCH_MESSAGE, send('b')],
  [RequestCode.SEND_REPLY_MESSAGE, reply('topic')],
  [RequestCode.SEND_REPLY_MESSAGE_V2, reply('b')],
  [RequestCode.CONSUMER_SEND_MSG_BACK, ({ ext }) => [group(ext['group'])]],
  [RequestCode.PULL_MESSAGE, pull],
  [RequestCode.LITE_PULL_MESSAGE, pull],
  [RequestCode.QUERY_MESSAGE, ({ ext }) => [[ext['topic'], Grant.SUB]]],
  [RequestCode.HEART_BEAT, heartbeat],
  [RequestCode.UNREGISTER_CLIENT, ofGroup],
  [RequestCode.GET_CONSUMER_LIST_BY_GROUP, ofGroup],
  [RequestCode.UPDATE_CONSUMER_OFFSET, pull],
]);

/** @throws DrError PROTOCOL when the body that says what is touched cannot be read */
export function needsOf(request: RemotingCommand): Needs {
  const reader = READERS.get(request.code);
  if (reader === undefined) return undefined;
  const needs = new Map<string, number>();
  for (const [resource, bits] of reader(request)) {
    if (resource !== undefined) needs.set(resource, (needs.get(resource) ?? 0) | bits);
  }
  return needs;
}

/** What a send to this topic needs, without a request to read it from. */
export const sendGrantOf = (topic: string): number =>
  topic.startsWith(RETRY_PREFIX) ? Grant.SUB : Grant.PUB;

export const isGroupResource = (resource: string): boolean => resource.startsWith(RETRY_PREFIX);

/** A resource as refusals name it. */
export const printed = (resource: string): string =>
  isGroupResource(resource) ? `group:${resource.slice(RETRY_PREFIX.length)}` : `topic:${resource}`;
