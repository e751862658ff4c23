// The handle that calls a timer message back: base64 (URL form) of `v1 topic brokerName time uniqKey`,
// given with the reply to its send and taken by RECALL_MESSAGE.
// Source: RocketMQ RecallMessageHandle and SendMessageProcessor.attachRecallHandle (5.5.0), form only.
import { encodeResponse, formatOffsetMsgId, Property, ResponseCode } from '../../protocol/index.ts';
import type { AppendResult } from '../../store/index.ts';
import type { BrokerConfig } from '../config/index.ts';

const VERSION = 'v1';

export interface RecallHandle {
  topic: string;
  brokerName: string;
  deliverMs: string;
  uniqKey: string;
}

export const formatRecallHandle = (handle: RecallHandle): string => {
  const { topic, brokerName, deliverMs, uniqKey } = handle;
  const padded = Buffer.from([VERSION, topic, brokerName, deliverMs, uniqKey].join(' '));
  // Java's encoder pads, Node's URL form does not.
  return padded.toString('base64').replaceAll('+', '-').replaceAll('/', '_');
};

/** @returns undefined when it is none */
export function parseRecallHandle(text: string): RecallHandle | undefined {
  if (!/^[A-Za-z0-9_-]+={0,2}$/.test(text)) return undefined;
  const [version, topic, brokerName, deliverMs, uniqKey] = Buffer.from(text, 'base64url')
    .toString('utf8')
    .split(' ');
  if (version !== VERSION || !topic || !brokerName || !deliverMs || !uniqKey) return undefined;
  return { topic, brokerName, deliverMs, uniqKey };
}

/** The reply to the send of a timer message. */
export function encodeRecallReply(
  opaque: number,
  sent: {
    config: BrokerConfig;
    storeHost: Buffer;
    queueId: number;
    properties: ReadonlyMap<string, string>;
    result: AppendResult;
  },
): Buffer {
  const { config, properties, result, queueId } = sent;
  const uniqKey = properties.get(Property.UNIQ_KEY) ?? '';
  // Behind the start of the slot, so that the recall falls into the same one.
  const deliverMs = String(Number(properties.get(Property.TIMER_OUT_MS)) + 1);
  return encodeResponse(opaque, {
    code: ResponseCode.SUCCESS,
    ext: {
      MSG_REGION: config.regionId,
      TRACE_ON: config.traceOn,
      msgId: formatOffsetMsgId(sent.storeHost, result.physicalOffset),
      queueId,
      queueOffset: result.queueOffset,
      transactionId: uniqKey,
      recallHandle: formatRecallHandle({
        topic: properties.get(Property.REAL_TOPIC) ?? '',
        brokerName: config.brokerName,
        deliverMs,
        uniqKey,
      }),
    },
  });
}
