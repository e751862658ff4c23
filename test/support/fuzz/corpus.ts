// What hostile frames are made from: the frames recorded with stock servers, and for every request code
// one request that carries the fields requests have, so that no handler is left out.
import {
  decodeCommand,
  encodeRequest,
  type RemotingCommand,
  RequestCode,
} from '../../../core-broker/protocol/index.ts';
import { recordedExchanges } from '../stock/frames.ts';

export interface Seed {
  frame: Buffer;
  command: RemotingCommand;
}

const FIELDS: Record<string, string> = {
  topic: 'fuzz',
  brokerName: 'broker-a',
  brokerAddr: '127.0.0.1:10911',
  clusterName: 'DefaultCluster',
  cluster: 'DefaultCluster',
  brokerId: '0',
  haServerAddr: '127.0.0.1:10912',
  namespace: 'ORDER_TOPIC_CONFIG',
  key: 'fuzz',
  value: 'broker-a:4',
  consumerGroup: 'fuzz-group',
  producerGroup: 'fuzz-producers',
  group: 'fuzz-group',
  groupName: 'fuzz-group',
  clientId: 'fuzz-client',
  clientID: 'fuzz-client',
  queueId: '0',
  queueOffset: '0',
  offset: '0',
  commitOffset: '0',
  commitLogOffset: '0',
  tranStateTableOffset: '0',
  commitOrRollback: '8',
  transactionId: 'AC1100010000',
  msgId: '7F00000100002A9F0000000000000000',
  maxMsgNums: '32',
  maxNum: '32',
  sysFlag: '4',
  suspendTimeoutMillis: '0',
  subVersion: '0',
  subscription: '*',
  expressionType: 'TAG',
  delayLevel: '0',
  originMsgId: 'AC1100010000',
  originTopic: 'fuzz',
  maxReconsumeTimes: '16',
  unitMode: 'false',
  defaultTopic: 'TBW102',
  readQueueNums: '4',
  writeQueueNums: '4',
  perm: '6',
  topicFilterType: 'SINGLE_TAG',
  topicSysFlag: '0',
  order: 'false',
  timestamp: '0',
  isForce: 'true',
  statsName: 'TOPIC_PUT_NUMS',
  statsKey: 'fuzz',
  begin: '0',
  end: '9999999999999',
  beginTimestamp: '0',
  endTimestamp: '9999999999999',
  index: '0',
  count: '10',
  srcGroup: 'fuzz-group',
  destGroup: 'fuzz-other',
  jstackEnable: 'false',
  offline: 'false',
  isOrder: 'false',
  recallHandle: 'djEgYSBiIGMgZA',
  invisibleTime: '1000',
  pollTime: '0',
  bornTime: '0',
  extraInfo: '0 0 0 0 0 broker-a 0',
  popTime: '0',
  initMode: '0',
  pushReplyMessage: '',
};

const BODIES = [
  '',
  '{}',
  '{"table":{}}',
  '{"consumerGroup":"fuzz-group","clientId":"c","mqSet":[{"topic":"fuzz","brokerName":"broker-a","queueId":0}]}',
  '{"clientID":"c","consumerDataSet":[],"producerDataSet":[{"groupName":"p"}]}',
  '{"topicConfigSerializeWrapper":{"dataVersion":{"counter":1},"topicConfigTable":{"a":{"topicName":"a"},"b":{"topicName":"b"}}}}',
  '{"queueDatas":[{"brokerName":"broker-a","perm":6}]}',
  'scanNotActiveBrokerInterval=5000\n',
];

/** @param at whose recorded requests */
export function corpusFor(at: 'broker' | 'nameserver', without: ReadonlySet<number>): Seed[] {
  const recorded = ['4.9.7', '5.5.0'].flatMap((version) =>
    recordedExchanges(version)
      .filter((exchange) => exchange.at === at)
      .map((exchange) => Buffer.from(exchange.request, 'hex')),
  );
  const made = Object.values(RequestCode).flatMap((code, index) =>
    BODIES.map((body, which) =>
      encodeRequest({ code, ext: FIELDS, body }, 1, {
        header: (index + which) % 3 === 0 && code < 0x7fff ? 'ROCKETMQ' : 'JSON',
      }),
    ),
  );
  return [...recorded, ...made]
    .map((frame) => ({ frame, command: decodeCommand(frame, 0, frame.length) }))
    .filter(({ command }) => !without.has(command.code));
}
