// Offsets of consumers and bounds of queues.
// Invariant: a healthy broker answers 14 with an offset or with 22 and nothing else; Java 4.9 and
// ali-ons take any error as "no offset" and then skip to the newest message.
// Source: ConsumerManageProcessor, AdminBrokerProcessor, behaviour only.
import * as os from 'node:os';
import {
  RecordOffset,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
  readInt64,
} from '../../protocol/index.ts';
import type { MessageStore, QueueRef } from '../../store/index.ts';
import { flagField, numberField, textField, timeField } from '../fields.ts';
import type { HandlerContext } from '../handler-context.ts';
import type { OffsetKey } from '../metadata/index.ts';
import { OK, refuse } from '../response-codes.ts';

export function addOffsetHandlers(context: HandlerContext): void {
  const { requests, store } = context.parts;
  const answer = (offset: number): ResponseInit => ({
    code: ResponseCode.SUCCESS,
    ext: { offset },
  });
  requests.on(RequestCode.QUERY_CONSUMER_OFFSET, (request) => queryOffset(context, request));
  requests.on(RequestCode.UPDATE_CONSUMER_OFFSET, (request) => updateOffset(context, request));
  requests.on(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, (request) => {
    const boundary = request.ext['boundaryType']?.toLowerCase() === 'upper' ? 'upper' : 'lower';
    const timestampMs = timeField(request, 'timestamp');
    return answer(store.offsetByTime(queueOf(request), timestampMs, boundary));
  });
  requests.on(RequestCode.GET_MAX_OFFSET, (request) =>
    answer(store.bounds(queueOf(request))?.max ?? 0),
  );
  requests.on(RequestCode.GET_MIN_OFFSET, (request) =>
    answer(store.bounds(queueOf(request))?.min ?? 0),
  );
  requests.on(RequestCode.GET_EARLIEST_MSG_STORETIME, (request) => {
    const queue = queueOf(request);
    const bounds = store.bounds(queue);
    const isEmpty = bounds === undefined || bounds.max <= bounds.min;
    const timestamp = isEmpty ? -1 : store.storeTimeOf(queue, bounds.min);
    return { code: ResponseCode.SUCCESS, ext: { timestamp } };
  });
}

const queueOf = (request: RemotingCommand): QueueRef => ({
  topic: textField(request, 'topic'),
  queueId: numberField(request, 'queueId'),
});

const keyOf = (request: RemotingCommand): OffsetKey => ({
  ...queueOf(request),
  group: textField(request, 'consumerGroup'),
});

function queryOffset(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const { tables, store, config } = context.parts;
  const key = keyOf(request);
  const stored = tables.offsets.query(key);
  if (stored >= 0) return { code: ResponseCode.SUCCESS, ext: { offset: stored } };
  if (
    flagField(request, 'setZeroIfNotFound', true) &&
    startsAtZero(store, key, config.accessMessageInMemoryMaxRatio)
  ) {
    return { code: ResponseCode.SUCCESS, ext: { offset: 0 } };
  }
  return refuse(ResponseCode.QUERY_NOT_FOUND, 'Not found, maybe this group consumer boot first');
}

/** A new group starts at the beginning of a young or empty queue, so that it skips nothing. */
function startsAtZero(store: MessageStore, queue: QueueRef, youngPercent: number): boolean {
  const bounds = store.bounds(queue);
  if (bounds === undefined || bounds.max === 0) return true;
  if (bounds.min > 0) return false;
  const first = store.pull(queue, 0, { messagesMax: 1, bytesMax: 1, tagCodes: undefined });
  const record = first.chunks[0];
  if (record === undefined) return false;
  const behindBytes =
    store.storeBounds().maxOffset - readInt64(record, RecordOffset.PHYSICAL_OFFSET);
  return behindBytes <= (os.totalmem() / 100) * youngPercent;
}

function updateOffset(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const { tables, admission } = context.parts;
  const key = keyOf(request);
  const refusal = admission.current.commitRefusal(key.group);
  if (refusal) return refusal;
  if (!context.creation.group(key.group)) {
    refuse(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `Group ${key.group} not exist!`);
  }
  if (!tables.topics.find(key.topic)) {
    refuse(ResponseCode.TOPIC_NOT_EXIST, `Topic ${key.topic} not exist!`);
  }
  tables.offsets.commit(key, numberField(request, 'commitOffset'));
  return OK;
}
