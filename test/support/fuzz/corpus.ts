// What hostile frames are made from: the frames recorded with stock servers, and for every request code
// one request that carries the fields requests have, so that no handler is left out.
import {
  DR_CODE,
  decodeCommand,
  encodeRequest,
  type RemotingCommand,
  RequestCode,
} from '../../../core-broker/protocol/index.ts';
import { recordedExchanges } from '../stock/frames.ts';

export type WorldKind = 'broker' | 'dr-broker' | 'nameserver';

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

const HEARTBEAT = JSON.stringify({
  clientID: 'fuzz-client',
  consumerDataSet: [
    {
      groupName: 'fuzz-group',
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
      subscriptionDataSet: [
        {
          topic: 'fuzz',
          expressionType: 'SQL92',
          subString: "a > 1 AND b IN ('x', 'y') OR c IS NOT NULL",
          tagsSet: [],
          codeSet: [],
          subVersion: 1,
        },
      ],
    },
  ],
  producerDataSet: [{ groupName: 'fuzz-producers' }],
});

const sent = (pairs: Record<string, string>): string =>
  Object.entries(pairs)
    .map(([key, value]) => `${key}\u0001${value}\u0002`)
    .join('');
/** Properties that take a message another way than the plain one. */
const KINDS_OF_MESSAGE = [
  { TAGS: 'TAGA', KEYS: 'k1 k2', UNIQ_KEY: 'AC1100010000', WAIT: 'true' },
  { DELAY: '3' },
  { TIMER_DELAY_SEC: '5' },
  { TIMER_DELIVER_MS: '99999999999999' },
  { TIMER_DELAY_MS: '-1' },
  { TIMER_DEL_UNIQKEY: 'AC1100010000' },
  { TRAN_MSG: 'true', PGROUP: 'fuzz-producers' },
  { MSG_TYPE: 'reply', CLUSTER: 'DefaultCluster', REPLY_TO_CLIENT: 'c', CORRELATION_ID: 'x' },
  { INNER_MULTI_DISPATCH: 'a,b', INNER_NUM: '2' },
];

function messages(): Buffer[] {
  const names = 'abcdefghijkl';
  return KINDS_OF_MESSAGE.flatMap((pairs) => {
    const values = ['fuzz-producers', 'fuzz', 'TBW102', 4, 0, pairs.TRAN_MSG ? 4 : 0, 1, 0];
    const all = [...values, sent(pairs as Record<string, string>), 0, false, 16];
    const ext = Object.fromEntries(all.map((value, at) => [names[at] ?? '', value]));
    return [
      encodeRequest({ code: RequestCode.SEND_MESSAGE_V2, ext, body: 'hello' }, 1),
      encodeRequest({ code: RequestCode.SEND_REPLY_MESSAGE_V2, ext, body: 'hello' }, 1),
      encodeRequest({ code: RequestCode.SEND_BATCH_MESSAGE, ext: { ...ext, m: true }, body }, 1),
    ];
  });
}

/** One message of a batch: size, magic, crc, flag, body, properties. */
const body = Buffer.from('00000019000000000000000000000000000000036162630000', 'hex');

function filters(): Buffer[] {
  const expressions = [
    'a > 1',
    "a BETWEEN 1 AND 2 AND NOT b = 'x'",
    'TRUE',
    '((((a = 1))))',
    'a =',
  ];
  return expressions.map((subscription) => {
    const ext = { ...FIELDS, expressionType: 'SQL92', subscription };
    return encodeRequest({ code: RequestCode.PULL_MESSAGE, ext }, 1);
  });
}

/** Signed requests between regions, with signatures that cannot be right. */
const regional = (): Buffer[] =>
  Object.values(DR_CODE).map((code) =>
    encodeRequest(
      { code, ext: { ...FIELDS, nonce: 'x', opId: 'o', sentAtMs: '1', mac: 'ab' }, body: '{}' },
      1,
    ),
  );

/**
 * @param kind whose recorded requests
 * @param without codes that are left out
 * @param served codes worth making requests for; all when not known
 */
export function corpusFor(
  kind: WorldKind,
  without: ReadonlySet<number>,
  served?: ReadonlySet<number>,
): Seed[] {
  const at = kind === 'nameserver' ? 'nameserver' : 'broker';
  const recorded = ['4.9.7', '5.5.0'].flatMap((version) =>
    recordedExchanges(version)
      .filter((exchange) => exchange.at === at)
      .map((exchange) => Buffer.from(exchange.request, 'hex')),
  );
  const codes = Object.values(RequestCode).filter((code) => served?.has(code) ?? true);
  const made = codes.flatMap((code, index) =>
    BODIES.map((body, which) =>
      encodeRequest({ code, ext: FIELDS, body }, 1, {
        header: (index + which) % 3 === 0 && code < 0x7fff ? 'ROCKETMQ' : 'JSON',
      }),
    ),
  );
  const beat = encodeRequest({ code: RequestCode.HEART_BEAT, body: HEARTBEAT }, 1);
  const special =
    kind === 'nameserver'
      ? BODIES.slice(5, 7).map((body, at) =>
          encodeRequest({ code: at ? 217 : 103, ext: FIELDS, body }, 1),
        )
      : [beat, ...messages(), ...filters(), ...regional()];
  // Why several times: they are few among the made ones.
  return [...recorded, ...made, ...special, ...special, ...special]
    .map((frame) => ({ frame, command: decodeCommand(frame, 0, frame.length) }))
    .filter(({ command }) => !without.has(command.code));
}
