// Names of topics and groups: what is valid, what is a system topic, what a client may not send to,
// and the derived names (retry, dead letter, reply).
// Source: TopicValidator, Validators, MixAll of RocketMQ 5.x.

export const Topic = {
  AUTO_CREATE_KEY: 'TBW102',
  SCHEDULE: 'SCHEDULE_TOPIC_XXXX',
  BENCHMARK: 'BenchmarkTest',
  TRANS_HALF: 'RMQ_SYS_TRANS_HALF_TOPIC',
  TRANS_OP_HALF: 'RMQ_SYS_TRANS_OP_HALF_TOPIC',
  TRANS_CHECK_MAX_TIME: 'TRANS_CHECK_MAX_TIME_TOPIC',
  TRACE: 'RMQ_SYS_TRACE_TOPIC',
  SELF_TEST: 'SELF_TEST_TOPIC',
  OFFSET_MOVED_EVENT: 'OFFSET_MOVED_EVENT',
} as const;

export const SYSTEM_TOPIC_PREFIX = 'rmq_sys_';
export const TIMER_TOPIC = 'rmq_sys_wheel_timer';
export const RETRY_PREFIX = '%RETRY%';
export const DLQ_PREFIX = '%DLQ%';
export const REPLY_SUFFIX = '_REPLY_TOPIC';

export const Group = {
  TOOLS: 'TOOLS_CONSUMER',
  FILTERSRV: 'FILTERSRV_CONSUMER',
  SELF_TEST: 'SELF_TEST_C_GROUP',
  ONS_HTTP_PROXY: 'CID_ONS-HTTP-PROXY',
  ONSAPI_PULL: 'CID_ONSAPI_PULL',
  ONSAPI_PERMISSION: 'CID_ONSAPI_PERMISSION',
  ONSAPI_OWNER: 'CID_ONSAPI_OWNER',
  SYS_TRANS: 'CID_RMQ_SYS_TRANS',
} as const;

/** Groups every broker knows without being told. */
export const SYSTEM_GROUPS: ReadonlySet<string> = new Set(Object.values(Group));

const SYSTEM_TOPICS: ReadonlySet<string> = new Set(Object.values(Topic));

const NOT_ALLOWED_SEND: ReadonlySet<string> = new Set([
  Topic.SCHEDULE,
  Topic.TRANS_HALF,
  Topic.TRANS_OP_HALF,
  Topic.TRANS_CHECK_MAX_TIME,
  Topic.SELF_TEST,
  Topic.OFFSET_MOVED_EVENT,
]);

export const TOPIC_LENGTH_MAX = 127;
export const RETRY_TOPIC_LENGTH_MAX = 255;
export const GROUP_LENGTH_MAX = 120;

const NAME = /^[%|a-zA-Z0-9_-]+$/;

export const retryTopic = (group: string): string => RETRY_PREFIX + group;
export const dlqTopic = (group: string): string => DLQ_PREFIX + group;
export const replyTopic = (cluster: string): string => cluster + REPLY_SUFFIX;
export const isRetryTopic = (topic: string): boolean => topic.startsWith(RETRY_PREFIX);
export const isDlqTopic = (topic: string): boolean => topic.startsWith(DLQ_PREFIX);

/** Group of a retry or dead letter topic; the name itself otherwise. */
export function groupOfTopic(topic: string): string {
  if (isRetryTopic(topic)) return topic.slice(RETRY_PREFIX.length);
  return isDlqTopic(topic) ? topic.slice(DLQ_PREFIX.length) : topic;
}

/** Topics of RocketMQ itself. Cluster, broker and reply topic names are the broker's to add. */
export const isSystemTopic = (topic: string): boolean =>
  SYSTEM_TOPICS.has(topic) || topic.startsWith(SYSTEM_TOPIC_PREFIX);

/** True when clients may not send to this topic (response code 16). */
export const isSendForbidden = (topic: string): boolean => NOT_ALLOWED_SEND.has(topic);

/** What is wrong with a topic name, as text for a remark, or undefined when it is fine. */
export function topicProblem(topic: string): string | undefined {
  if (topic.trim() === '') return 'The specified topic is blank.';
  if (!NAME.test(topic)) {
    return `The specified topic[${topic}] contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$`;
  }
  const derived = isRetryTopic(topic) || isDlqTopic(topic);
  const max = derived ? RETRY_TOPIC_LENGTH_MAX : TOPIC_LENGTH_MAX;
  if (topic.length > max) return `The specified topic is longer than topic max length ${max}.`;
  return undefined;
}

/** As topicProblem, for group names. */
export function groupProblem(group: string): string | undefined {
  if (group.trim() === '') return 'The specified group is blank.';
  if (!NAME.test(group)) {
    return `The specified group[${group}] contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$`;
  }
  if (group.length > GROUP_LENGTH_MAX) {
    return `The specified group is longer than group max length ${GROUP_LENGTH_MAX}.`;
  }
  return undefined;
}
