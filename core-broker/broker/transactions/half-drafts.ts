// New records made of a half record: the half message again, the final message, the one given up.
// All keep body, flags, birth and retry count; queue offset and store time are new.
// Source: renewHalfMessageInner, endMessageTransaction, toMessageExtBrokerInner, behaviour only.
import {
  type DecodedRecord,
  formatMessageProperties,
  Property,
  SysFlag,
} from '../../protocol/index.ts';
import type { MessageStore, TopicHandle } from '../../store/index.ts';
import { copyAt, type MessageDraft, withTransactionType } from '../writing/index.ts';

export interface HalfContent {
  record: DecodedRecord;
  properties: Map<string, string>;
}

/** The content at another place. */
export function draftOf(
  { record, properties }: HalfContent,
  target: { topic: TopicHandle; queueId: number },
): MessageDraft {
  return copyAt(record, { ...target, properties: formatMessageProperties(properties) });
}

/**
 * The message consumers see. Its properties are those of the half record, REAL_* included, as Apache
 * keeps them. Undefined when the half record does not say where it belongs.
 */
export function finalDraft(
  half: HalfContent,
  store: Pick<MessageStore, 'topic'>,
): MessageDraft | undefined {
  const { record, properties } = half;
  const topic = properties.get(Property.REAL_TOPIC);
  const queueId = Number(properties.get(Property.REAL_QID));
  if (!topic || !Number.isInteger(queueId) || queueId < 0) return undefined;
  return {
    ...draftOf(half, { topic: store.topic(topic), queueId }),
    properties: record.properties,
    sysFlag: withTransactionType(record.sysFlag, SysFlag.TRANSACTION_COMMIT),
    preparedTransactionOffset: record.physicalOffset,
  };
}
