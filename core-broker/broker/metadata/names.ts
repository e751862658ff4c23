// Names a broker knows by itself: system topics, predefined groups, prefixes and what a name may look
// like. Source: requests.md section 13 of the protocol (TopicValidator of RocketMQ 5.x), behaviour only.

export const RETRY_PREFIX = '%RETRY%';
export const DLQ_PREFIX = '%DLQ%';
export const DEFAULT_TOPIC = 'TBW102';
export const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX';
export const TRANS_HALF_TOPIC = 'RMQ_SYS_TRANS_HALF_TOPIC';
export const SELF_TEST_TOPIC = 'SELF_TEST_TOPIC';
export const BENCHMARK_TOPIC = 'BenchmarkTest';
export const OFFSET_MOVED_TOPIC = 'OFFSET_MOVED_EVENT';
export const REPLY_TOPIC_POSTFIX = '_REPLY_TOPIC';

const NOT_SENDABLE: ReadonlySet<string> = new Set([
  SCHEDULE_TOPIC,
  TRANS_HALF_TOPIC,
  'RMQ_SYS_TRANS_OP_HALF_TOPIC',
  'TRANS_CHECK_MAX_TIME_TOPIC',
  SELF_TEST_TOPIC,
  OFFSET_MOVED_TOPIC,
]);

const SYSTEM_TOPICS: ReadonlySet<string> = new Set([
  ...NOT_SENDABLE,
  DEFAULT_TOPIC,
  BENCHMARK_TOPIC,
  'RMQ_SYS_TRACE_TOPIC',
]);

/** Groups that exist on every broker. */
export const PREDEFINED_GROUPS: readonly string[] = [
  'TOOLS_CONSUMER',
  'FILTERSRV_CONSUMER',
  'SELF_TEST_C_GROUP',
  'CID_ONS-HTTP-PROXY',
  'CID_ONSAPI_PULL',
  'CID_ONSAPI_PERMISSION',
  'CID_ONSAPI_OWNER',
  'CID_RMQ_SYS_TRANS',
];

const NAME = /^[%|a-zA-Z0-9_-]+$/;
const GROUP_LENGTH_MAX = 120;
const TOPIC_LENGTH_MAX = 127;

export const isSendable = (topic: string): boolean => !NOT_SENDABLE.has(topic);
export const isRetryTopic = (topic: string): boolean => topic.startsWith(RETRY_PREFIX);
export const isDlqTopic = (topic: string): boolean => topic.startsWith(DLQ_PREFIX);

export function isSystemTopic(topic: string, clusterName: string, brokerName: string): boolean {
  if (SYSTEM_TOPICS.has(topic) || topic.startsWith('rmq_sys_')) return true;
  return topic === clusterName || topic === brokerName || topic === replyTopicOf(clusterName);
}

export const replyTopicOf = (clusterName: string): string => clusterName + REPLY_TOPIC_POSTFIX;

/** Undefined when the topic name is valid, else what is wrong with it. */
export function topicNameProblem(topic: string): string | undefined {
  if (topic === '') return 'The specified topic is blank.';
  if (!NAME.test(topic)) return 'The specified topic contains illegal characters.';
  const max = TOPIC_LENGTH_MAX;
  return topic.length > max
    ? `The specified topic is longer than topic max length ${max}.`
    : undefined;
}

/** Undefined when the group name is valid, else what is wrong with it. */
export function groupNameProblem(group: string): string | undefined {
  if (group === '') return 'The specified group is blank.';
  if (!NAME.test(group)) return 'The specified group contains illegal characters.';
  return group.length > GROUP_LENGTH_MAX
    ? `The specified group is longer than group max length ${GROUP_LENGTH_MAX}.`
    : undefined;
}
