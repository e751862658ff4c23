// The header of a send as values, in its long form (324) or with the short names of V2 (325).
// Source: SendMessageRequestHeader, SendMessageRequestHeaderV2.
import { type RemotingCommand, RequestCode } from '../../protocol/index.ts';
import { flagField, numberField, textField } from '../fields.ts';

/** Named as in the long header, so that it can be sent on as it is. */
export interface SendFields {
  producerGroup: string;
  topic: string;
  defaultTopic: string;
  defaultTopicQueueNums: number;
  queueId: number;
  sysFlag: number;
  bornTimestamp: number;
  flag: number;
  properties: string;
  reconsumeTimes: number;
  unitMode: boolean;
}

const SHORT: Record<keyof SendFields, string> = {
  producerGroup: 'a',
  topic: 'b',
  defaultTopic: 'c',
  defaultTopicQueueNums: 'd',
  queueId: 'e',
  sysFlag: 'f',
  bornTimestamp: 'g',
  flag: 'h',
  properties: 'i',
  reconsumeTimes: 'j',
  unitMode: 'k',
};

/** @throws DrError with response code 1 for a missing or malformed field */
export function readSendFields(request: RemotingCommand): SendFields {
  const isShort = request.code === RequestCode.SEND_REPLY_MESSAGE_V2;
  const nameOf = (field: keyof SendFields): string => (isShort ? SHORT[field] : field);
  const text = (field: keyof SendFields) => textField(request, nameOf(field));
  const number = (field: keyof SendFields, otherwise?: number) =>
    numberField(request, nameOf(field), otherwise);
  return {
    producerGroup: text('producerGroup'),
    topic: text('topic'),
    defaultTopic: text('defaultTopic'),
    defaultTopicQueueNums: number('defaultTopicQueueNums'),
    queueId: number('queueId'),
    sysFlag: number('sysFlag'),
    bornTimestamp: number('bornTimestamp'),
    flag: number('flag'),
    properties: request.ext[nameOf('properties')] ?? '',
    reconsumeTimes: number('reconsumeTimes', 0),
    unitMode: flagField(request, nameOf('unitMode')),
  };
}
