// One request per path on which a client can make a broker append: each must be refused by a region
// that may not write. Delayed delivery and the link have no request; tests look at the end of the log.
import type { RequestInit } from '../../../core-broker/protocol/index.ts';
import { RequestCode } from '../../../core-broker/protocol/index.ts';

export interface RawWrite {
  name: string;
  request: RequestInit;
}

const send = (topic: string, properties = '') => ({
  producerGroup: 'raw-writes',
  topic,
  defaultTopic: 'TBW102',
  defaultTopicQueueNums: 4,
  queueId: 0,
  sysFlag: 0,
  bornTimestamp: Date.now(),
  flag: 0,
  properties,
  reconsumeTimes: 0,
  unitMode: false,
  batch: false,
});

/** Field letters of the V2 header. */
const sendV2 = (topic: string) => ({
  a: 'raw-writes',
  b: topic,
  c: 'TBW102',
  d: 4,
  e: 0,
  f: 0,
  g: Date.now(),
  h: 0,
  i: '',
  j: 0,
  k: false,
  m: false,
});

/** @param offset commit-log offset of a record that a send-back may name */
export function everyWrite(topic: string, offset = 0): RawWrite[] {
  const body = 'must not be stored';
  const delayed = send(topic, 'DELAY\u00011\u0002');
  const back = { group: 'raw-writes', offset, delayLevel: 1, originTopic: topic };
  return [
    { name: 'send', request: { code: RequestCode.SEND_MESSAGE, ext: send(topic), body } },
    { name: 'send v2', request: { code: RequestCode.SEND_MESSAGE_V2, ext: sendV2(topic), body } },
    { name: 'delayed send', request: { code: RequestCode.SEND_MESSAGE, ext: delayed, body } },
    { name: 'send-back', request: { code: RequestCode.CONSUMER_SEND_MSG_BACK, ext: back } },
    {
      name: 'commit',
      request: {
        code: RequestCode.UPDATE_CONSUMER_OFFSET,
        ext: { consumerGroup: 'raw-writes', topic, queueId: 0, commitOffset: 1 },
      },
    },
  ];
}
