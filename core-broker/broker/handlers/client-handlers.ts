// Heartbeats, goodbyes, member lists, queue locks: who is there and who owns what.
// Source: ClientManageProcessor, ConsumerManageProcessor, AdminBrokerProcessor (locks), behaviour only.
import { DrError } from '../../base/index.ts';
import {
  decodeHeartbeat,
  decodeLockBatch,
  isTagExpression,
  type MessageQueue,
  messageQueueKey,
  parseJsonObject,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
  readSubscription,
} from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import type { ClientChannel } from '../clients/index.ts';
import { textField } from '../fields.ts';
import { requirePropertyFilter, SQL92 } from '../filter/index.ts';
import type { HandlerContext } from '../handler-context.ts';
import { OK, okJson, refuse } from '../response-codes.ts';

export function addClientHandlers(context: HandlerContext): void {
  const { requests } = context.parts;
  requests.on(RequestCode.HEART_BEAT, (request, connection) =>
    heartbeat(context, request, connection),
  );
  requests.on(RequestCode.UNREGISTER_CLIENT, (request, connection) => {
    const { producerGroup, consumerGroup } = request.ext;
    if (producerGroup) context.producers.unregister(producerGroup, connection);
    if (consumerGroup) context.consumers.unregister(consumerGroup, connection);
    return OK;
  });
  requests.on(RequestCode.GET_CONSUMER_LIST_BY_GROUP, (request) => {
    const group = textField(request, 'consumerGroup');
    const consumerIdList = context.consumers.clientIds(group);
    if (consumerIdList.length > 0) return okJson({ consumerIdList });
    return refuse(ResponseCode.SYSTEM_ERROR, `no consumer for this group, ${group}`);
  });
  requests.on(RequestCode.CHECK_CLIENT_CONFIG, (request) => checkClientConfig(context, request));
  requests.on(RequestCode.LOCK_BATCH_MQ, (request) => {
    const { clientId, consumerGroup, mqSet } = decodeLockBatch(request.body);
    const owned = (queue: MessageQueue): boolean =>
      context.locks.take(consumerGroup, messageQueueKey(queue), clientId);
    return okJson({ lockOKMQSet: mqSet.filter(owned) });
  });
  requests.on(RequestCode.UNLOCK_BATCH_MQ, (request) => {
    const { clientId, consumerGroup, mqSet } = decodeLockBatch(request.body);
    for (const queue of mqSet) {
      context.locks.release(consumerGroup, messageQueueKey(queue), clientId);
    }
    return OK;
  });
}

function heartbeat(
  context: HandlerContext,
  request: RemotingCommand,
  connection: ServerConnection,
): ResponseInit {
  const { clientID, consumerDataSet, producerDataSet } = decodeHeartbeat(request.body);
  const channel: ClientChannel = {
    connection,
    clientId: clientID,
    language: request.language,
    version: request.version,
    lastUpdateMs: context.parts.clock.monotonicMs(),
  };
  for (const presence of consumerDataSet) {
    const group = context.creation.group(presence.groupName);
    if (!group) continue;
    context.creation.expectRetries(group.groupName, group.retryQueueNums);
    context.consumers.register(presence, channel);
    context.filters.register(presence.groupName, presence.subscriptionDataSet);
  }
  for (const { groupName } of producerDataSet) context.producers.register(groupName, channel);
  return { code: ResponseCode.SUCCESS, ext: { IS_SUPPORT_HEART_BEAT_V2: false } };
}

/** Java asks before it starts a consumer with anything but tags. */
function checkClientConfig(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const body = parseJsonObject(request.body);
  const subscription = readSubscription(body['subscriptionData'] ?? {});
  if (isTagExpression(subscription.expressionType)) return OK;
  requirePropertyFilter(context.parts.config, subscription.expressionType);
  try {
    if (subscription.expressionType !== SQL92) {
      throw new DrError('USAGE', `unknown type ${subscription.expressionType}`);
    }
    context.filterCache.compile(subscription.subString);
    return OK;
  } catch (reason) {
    return refuse(ResponseCode.SUBSCRIPTION_PARSE_FAILED, DrError.from(reason).message);
  }
}
