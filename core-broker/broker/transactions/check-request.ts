// CHECK_TRANSACTION_STATE (39), oneway to a producer of the group: the half message as its real topic and
// queue would hold it, with the offsets that the answer (37) must name.
// Source: AbstractTransactionalMessageCheckListener.sendCheckMessage, behaviour only.
import {
  encodeRecord,
  formatMessageProperties,
  formatOffsetMsgId,
  Property,
  RequestCode,
  type RequestInit,
  Topic,
} from '../../protocol/index.ts';
import type { HalfContent } from './half-drafts.ts';
import type { PutAgain } from './half-walk.ts';

export function checkRequest(
  { record, properties }: HalfContent,
  { queueOffset, physicalOffset }: PutAgain,
  facts: { brokerName: string; storeHost: Buffer },
): RequestInit {
  const unique = properties.get(Property.UNIQ_KEY);
  return {
    code: RequestCode.CHECK_TRANSACTION_STATE,
    ext: {
      topic: Topic.TRANS_HALF,
      tranStateTableOffset: queueOffset,
      commitLogOffset: physicalOffset,
      msgId: unique,
      transactionId: unique,
      offsetMsgId: formatOffsetMsgId(facts.storeHost, physicalOffset),
      bname: facts.brokerName,
    },
    body: encodeRecord({
      ...record,
      queueOffset,
      physicalOffset,
      topic: properties.get(Property.REAL_TOPIC) ?? record.topic,
      queueId: Number(properties.get(Property.REAL_QID) ?? 0),
      properties: formatMessageProperties(properties),
    }),
  };
}
