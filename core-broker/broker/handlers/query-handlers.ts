// Messages by key, by physical offset, and raw queue entries for tools.
// Source: QueryMessageProcessor, AdminBrokerProcessor.queryConsumeQueue, behaviour only.
import { DrError } from '../../base/index.ts';
import {
  decodeRecord,
  javaHashCode,
  Property,
  parseMessageProperties,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
} from '../../protocol/index.ts';
import type { MessageStore, RecordRef } from '../../store/index.ts';
import { numberField, textField, timeField } from '../fields.ts';
import type { HandlerContext } from '../handler-context.ts';
import { okJson, refuse } from '../response-codes.ts';

const ENTRIES_MAX = 32;

export function addQueryHandlers(context: HandlerContext): void {
  const { requests, store } = context.parts;
  requests.on(RequestCode.QUERY_MESSAGE, (request) => queryMessage(context, request));
  requests.on(RequestCode.VIEW_MESSAGE_BY_ID, (request) => {
    const offset = numberField(request, 'offset');
    try {
      return { code: ResponseCode.SUCCESS, body: store.readRecord(offset) };
    } catch (reason) {
      // Ids come from clients: an offset inside a record is an unknown message, not damage.
      if (!DrError.is(reason, 'NOT_FOUND') && !DrError.is(reason, 'CORRUPT')) throw reason;
      return refuse(ResponseCode.SYSTEM_ERROR, `can not find message by the offset, ${offset}`);
    }
  });
  requests.on(RequestCode.QUERY_CONSUME_QUEUE, (request) => queryConsumeQueue(context, request));
}

async function queryMessage(
  context: HandlerContext,
  request: RemotingCommand,
): Promise<ResponseInit> {
  const { store, config } = context.parts;
  const isUnique = request.ext['_UNIQUE_KEY_QUERY'] === 'true';
  const wanted = isUnique ? config.defaultQueryMaxNum : numberField(request, 'maxNum');
  const key = {
    topic: textField(request, 'topic'),
    key: textField(request, 'key'),
    beginMs: timeField(request, 'beginTimestamp'),
    endMs: timeField(request, 'endTimestamp'),
  };
  const found = await store.find(key, Math.min(wanted, config.maxMsgsNumBatch));
  const records = found
    .map((ref) => readIfThere(store, ref))
    .filter((record) => record !== undefined);
  const matching = records.filter((record) => hasKey(record, key));
  if (matching.length === 0) {
    return refuse(
      ResponseCode.QUERY_NOT_FOUND,
      'can not find message, maybe time range not correct',
    );
  }
  const newest = found[0] as RecordRef;
  const newestMs = decodeRecord(matching[0] as Buffer).storeTimestampMs;
  return {
    code: ResponseCode.SUCCESS,
    ext: {
      indexLastUpdateTimestamp: newestMs,
      indexLastUpdatePhyoffset: newest.physicalOffset,
    },
    // Found newest first, answered in log order.
    body: Buffer.concat(matching.reverse()),
  };
}

/** Retention may have removed the record since it was indexed. */
function readIfThere(store: MessageStore, ref: RecordRef): Buffer | undefined {
  try {
    return store.readRecord(ref.physicalOffset);
  } catch (reason) {
    if (DrError.is(reason, 'NOT_FOUND')) return undefined;
    throw reason;
  }
}

/** The index knows hashes only: topic and key are compared in the record. */
function hasKey(record: Buffer, wanted: { topic: string; key: string }): boolean {
  const decoded = decodeRecord(record);
  if (decoded.topic !== wanted.topic) return false;
  const properties = parseMessageProperties(decoded.properties);
  if (properties.get(Property.UNIQ_KEY) === wanted.key) return true;
  return (properties.get(Property.KEYS) ?? '').split(' ').includes(wanted.key);
}

function queryConsumeQueue(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const { store } = context.parts;
  const queue = { topic: textField(request, 'topic'), queueId: numberField(request, 'queueId') };
  const bounds = store.bounds(queue);
  if (!bounds) {
    return refuse(ResponseCode.SYSTEM_ERROR, `${queue.queueId}@${queue.topic} is not exist!`);
  }
  const pulled = store.pull(queue, numberField(request, 'index'), {
    messagesMax: Math.min(numberField(request, 'count'), ENTRIES_MAX),
    bytesMax: Number.MAX_SAFE_INTEGER,
    tagCodes: undefined,
  });
  const bytes = Buffer.concat(pulled.chunks);
  const queueData = [];
  for (let at = 0; at < bytes.length; ) {
    const record = decodeRecord(bytes, at);
    const tags = parseMessageProperties(record.properties).get(Property.TAGS);
    queueData.push({
      eval: false,
      physicOffset: record.physicalOffset,
      physicSize: record.sizeBytes,
      tagsCode: tags ? javaHashCode(tags) : 0,
    });
    at += record.sizeBytes;
  }
  const group = request.ext['consumerGroup'] ?? '';
  const subscriptionData = context.consumers.find(group)?.subscriptions.get(queue.topic);
  const isOnline = subscriptionData !== undefined;
  const filterData = isOnline ? 'null' : `${group}@${queue.topic} is not online!`;
  return okJson({
    ...(group === '' ? {} : { filterData }),
    maxQueueIndex: bounds.max,
    minQueueIndex: bounds.min,
    queueData,
    subscriptionData,
  });
}
