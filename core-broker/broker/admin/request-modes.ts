// How a group asks for messages of a topic: 401 sets, 402 shows (metadata/request-modes.ts). PULL is
// the only mode there is; a client that was told POP by 400 would send codes that are answered with 3.
// Entries of a stock broker that say POP are kept in the file and answered as PULL.
// Source: MessageRequestModeManager, QueryAssignmentProcessor, behaviour only.
import {
  isRetryTopic,
  parseJsonObject,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
} from '../../protocol/index.ts';
import { type HandlerContext, requireOwnMetadata } from '../handler-context.ts';
import { OK, okJson, refuse } from '../response-codes.ts';

export function addRequestModeHandlers(context: HandlerContext): void {
  const { requests, tables } = context.parts;
  requests.on(RequestCode.GET_ALL_MESSAGE_REQUEST_MODE, () => okJson(tables.modes.content()));
  requests.on(RequestCode.SET_MESSAGE_REQUEST_MODE, (request) => {
    const { topic, group, body } = checked(context, request);
    tables.modes.put(topic, group, body);
    return OK;
  });
}

function checked(context: HandlerContext, request: RemotingCommand) {
  requireOwnMetadata(context);
  const { topic, consumerGroup: group, mode, popShareQueueNum } = parseJsonObject(request.body);
  if (typeof topic !== 'string' || typeof group !== 'string') {
    return refuse(ResponseCode.SYSTEM_ERROR, 'topic and consumerGroup are needed');
  }
  if (isRetryTopic(topic)) {
    refuse(ResponseCode.NO_PERMISSION, 'retry topic is not allowed to set mode');
  }
  const { topics, groups } = context.parts.tables;
  if (!topics.find(topic)) refuse(ResponseCode.TOPIC_NOT_EXIST, `topic[${topic}] not exist`);
  if (!groups.find(group)) {
    refuse(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, 'subscription group does not exist');
  }
  if (mode !== undefined && mode !== 'PULL') {
    refuse(
      ResponseCode.REQUEST_CODE_NOT_SUPPORTED,
      `message request mode ${String(mode)} is not supported`,
    );
  }
  const share = typeof popShareQueueNum === 'number' ? popShareQueueNum : 0;
  const body = { consumerGroup: group, mode: 'PULL', popShareQueueNum: share, topic };
  return { topic, group, body };
}
