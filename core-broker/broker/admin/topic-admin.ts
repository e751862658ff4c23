// Topics: create, delete, list, statistics, who consumes them.
// Source: AdminBrokerProcessor, behaviour only.
import {
  type MessageQueue,
  messageQueueKey,
  newDataVersion,
  newTopicConfig,
  parseJsonObject,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
  readTopicConfig,
  type TopicConfig,
  topicProblem,
} from '../../protocol/index.ts';
import { flagField, numberField, textField } from '../fields.ts';
import { type HandlerContext, requireOwnMetadata } from '../handler-context.ts';
import { asObject, isBrokerTopic, type Topic } from '../metadata/index.ts';
import { OK, okJson, refuse } from '../response-codes.ts';
import { pageOf } from './metadata-page.ts';

const QUEUES_MAX = 65_535;

export function addTopicHandlers(context: HandlerContext): void {
  const { requests, tables } = context.parts;
  requests.on(RequestCode.UPDATE_AND_CREATE_TOPIC, (request) => updateTopic(context, request));
  requests.on(RequestCode.UPDATE_AND_CREATE_TOPIC_LIST, (request) =>
    updateTopics(context, request),
  );
  requests.on(RequestCode.DELETE_TOPIC_IN_BROKER, (request) => deleteTopic(context, request));
  requests.on(RequestCode.GET_ALL_TOPIC_CONFIG, (request) => allTopics(context, request));
  requests.on(RequestCode.GET_TOPIC_CONFIG, (request) => {
    const { config } = existingTopic(context, textField(request, 'topic'));
    return okJson(config);
  });
  requests.on(RequestCode.GET_TOPIC_STATS_INFO, (request) => topicStats(context, request));
  requests.on(RequestCode.QUERY_TOPIC_CONSUME_BY_WHO, (request) => {
    const topic = textField(request, 'topic');
    const online = context.consumers.groupsOf(topic);
    return okJson({ groupList: [...new Set([...online, ...tables.offsets.groupsOf(topic)])] });
  });
  requests.on(RequestCode.QUERY_TOPICS_BY_CONSUMER, (request) =>
    okJson({
      brokerAddr: context.parts.advertised(),
      topicList: tables.offsets.topicsOf(textField(request, 'group')),
    }),
  );
  requests.on(RequestCode.GET_SYSTEM_TOPIC_LIST_FROM_BROKER, () => {
    const names = tables.topics.all().map((topic) => topic.topicName);
    return okJson({ topicList: names.filter((name) => isBrokerTopic(name, context.parts.config)) });
  });
}

/** All topics, or a page of them for those who ask for pages (5.4 and later). */
function allTopics(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const { dataVersion, topicConfigTable } = context.parts.tables.topics.content();
  const table = asObject(topicConfigTable);
  const deleted = context.parts.store.deletedTopics();
  const body = {
    // For standbys: their copy of the log does not tell that queues were deleted.
    ...(Object.keys(deleted).length > 0 ? { drDeletedTopics: deleted } : {}),
    dataVersion,
    mappingDataVersion: newDataVersion(0),
    topicConfigTable: pageOf(context, request, {
      table,
      dataVersion,
      from: 'topicSeq',
      max: 'maxTopicNum',
    }),
    topicQueueMappingDetailMap: {},
    topicQueueMappingInfoMap: {},
  };
  return { ...okJson(body), ext: { totalTopicNum: Object.keys(table).length } };
}

/** The topic, or code 17. */
export function existingTopic(context: HandlerContext, name: string): Topic {
  const topic = context.parts.tables.topics.find(name);
  if (topic) return topic;
  return refuse(ResponseCode.TOPIC_NOT_EXIST, `No topic in this broker. topic: ${name}`);
}

/** A queue of this broker as a key of Apache's JSON maps. */
export function queueName(context: HandlerContext, topic: string, queueId: number): string {
  const queue: MessageQueue = { brokerName: context.parts.config.brokerName, queueId, topic };
  return messageQueueKey(queue);
}

async function updateTopic(
  context: HandlerContext,
  request: RemotingCommand,
): Promise<ResponseInit> {
  requireOwnMetadata(context);
  const name = textField(request, 'topic');
  const known = context.parts.tables.topics.find(name)?.config;
  const config: TopicConfig = {
    ...newTopicConfig(name, 0, numberField(request, 'perm')),
    attributes: changedAttributes(known?.attributes ?? {}, request.ext['attributes']),
    order: flagField(request, 'order'),
    readQueueNums: numberField(request, 'readQueueNums'),
    topicFilterType: request.ext['topicFilterType'] ?? 'SINGLE_TAG',
    topicSysFlag: numberField(request, 'topicSysFlag', 0),
    writeQueueNums: numberField(request, 'writeQueueNums'),
  };
  checkTopic(context, config);
  return keepTopics(context, config);
}

async function updateTopics(
  context: HandlerContext,
  request: RemotingCommand,
): Promise<ResponseInit> {
  requireOwnMetadata(context);
  const list = parseJsonObject(request.body)['topicConfigList'];
  const configs = (Array.isArray(list) ? list : []).map((value) => readTopicConfig(value));
  for (const config of configs) checkTopic(context, config);
  return keepTopics(context, ...configs);
}

/** Answered when name servers know them: who made a topic asks for its route next. */
async function keepTopics(
  { parts }: HandlerContext,
  ...configs: TopicConfig[]
): Promise<ResponseInit> {
  parts.tables.topics.put(...configs);
  await parts.registration.announced();
  return OK;
}

function checkTopic(context: HandlerContext, topic: TopicConfig): void {
  const problem = topicProblem(topic.topicName);
  if (problem) refuse(ResponseCode.INVALID_PARAMETER, problem);
  const { config } = context.parts;
  if (config.validateSystemTopicWhenUpdateTopic && isBrokerTopic(topic.topicName, config)) {
    refuse(
      ResponseCode.INVALID_PARAMETER,
      `The topic[${topic.topicName}] is conflict with system topic.`,
    );
  }
  const counts = [topic.readQueueNums, topic.writeQueueNums];
  if (counts.some((count) => count < 0 || count > QUEUES_MAX)) {
    refuse(ResponseCode.INVALID_PARAMETER, `queue numbers go from 0 to ${QUEUES_MAX}`);
  }
}

/** `+key=value` sets, `-key` removes. */
function changedAttributes(
  present: Record<string, string>,
  text: string | undefined,
): Record<string, string> {
  const attributes = { ...present };
  for (const part of (text ?? '').split(',')) {
    const [name = '', value = ''] = part.trim().slice(1).split('=');
    if (part.trim().startsWith('+')) attributes[name] = value;
    if (part.trim().startsWith('-')) delete attributes[name];
  }
  return attributes;
}

/**
 * Deleting what is not there is a success, as in Apache.
 * Order: name gone -> offsets gone on disk -> queues gone. Why offsets before queues: an offset of the old
 * queues that outlives them would make its group skip the first messages of a topic made again.
 */
async function deleteTopic(
  context: HandlerContext,
  request: RemotingCommand,
): Promise<ResponseInit> {
  requireOwnMetadata(context);
  const name = request.ext['topic']?.trim() ?? '';
  const { config } = context.parts;
  if (name === '') refuse(ResponseCode.INVALID_PARAMETER, 'The specified topic is blank.');
  if (config.validateSystemTopicWhenUpdateTopic && isBrokerTopic(name, config)) {
    refuse(ResponseCode.INVALID_PARAMETER, `The topic[${name}] is conflict with system topic.`);
  }
  for (const topic of [name, ...popRetryTopics(context, name)]) await removeTopic(context, topic);
  return OK;
}

async function removeTopic({ parts, stats }: HandlerContext, name: string): Promise<void> {
  const { tables, store, config, admission } = parts;
  tables.topics.remove(name);
  tables.offsets.removeTopic(name);
  tables.offsets.save();
  // A seal that came meanwhile has counted the queues; they go with 316 or the next deletion.
  await store.removeTopic(
    name,
    () => admission.current.mayCreate && tables.topics.find(name) === undefined,
  );
  if (config.autoDeleteUnusedStats) stats.forgetTopic(name);
}

/** Left behind by a stock broker whose groups consumed the topic by POP; both spellings. */
function popRetryTopics({ parts }: HandlerContext, topic: string): string[] {
  const { tables, config } = parts;
  if (!config.clearRetryTopicWhenDeleteTopic) return [];
  return tables.offsets
    .groupsOf(topic)
    .flatMap((group) => [`%RETRY%${group}+${topic}`, `%RETRY%${group}_${topic}`])
    .filter((name) => tables.topics.find(name) !== undefined);
}

function topicStats(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const name = textField(request, 'topic');
  const config = context.parts.tables.topics.find(name)?.config;
  if (!config) return refuse(ResponseCode.TOPIC_NOT_EXIST, `topic[${name}] not exist`);
  const { store } = context.parts;
  const offsetTable: Record<string, object> = {};
  for (let id = 0; id < Math.max(config.readQueueNums, config.writeQueueNums); id++) {
    const queue = { topic: name, queueId: id };
    const bounds = store.bounds(queue);
    const hasMessages = bounds !== undefined && bounds.max > bounds.min;
    offsetTable[queueName(context, name, id)] = {
      lastUpdateTimestamp: hasMessages ? store.storeTimeOf(queue, bounds.max - 1) : 0,
      maxOffset: bounds?.max ?? 0,
      minOffset: bounds?.min ?? 0,
    };
  }
  const topicPutTps = context.stats.perSecond('TOPIC_PUT_NUMS', name);
  return okJson({ offsetTable, topicPutTps });
}
