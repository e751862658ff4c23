// Where our answers to the recorded conversation differ from the stock ones, and why. A difference that
// no rule names fails the test, and so does a rule that no difference needs.
export interface DifferenceRule {
  versions: readonly ('4.9.7' | '5.5.0')[];
  exchange: RegExp;
  difference: RegExp;
  why: string;
}

const BOTH = ['4.9.7', '5.5.0'] as const;
const NEW = ['5.5.0'] as const;
const OLD = ['4.9.7'] as const;

export const KNOWN_DIFFERENCES: readonly DifferenceRule[] = [
  {
    versions: OLD,
    exchange: /bad name|not there/,
    difference: /^code 1 -> 29$/,
    why: 'we answer wrong input as 5.x does; every client treats both as "do not retry"',
  },
  {
    versions: OLD,
    exchange: /^(topic config|group config|topics of a consumer|ha status)$/,
    difference: /^(code 3 -> 0|body: also .*)$/,
    why: 'codes that 4.9 does not have',
  },
  {
    versions: OLD,
    exchange: /^(send|pull|heartbeat|topic stats|broker consume stats|consume stats|route|cluster)/,
    difference:
      /also (transactionId|(group|topic)SysFlag|IS_SUPPORT\w+|\..*(pullOffset|topicPutTps|totalInflightDiff|enableActingMaster))$/,
    why: 'fields that 5.x added; older clients ignore them',
  },
  {
    versions: OLD,
    exchange: /^(pull|view message|query by key)$/,
    difference: /also record \d (MSG_REGION|TRACE_ON)$/,
    why: '5.x stores region and trace switch of single sends, 4.9 does not',
  },
  {
    versions: OLD,
    exchange: /table$/,
    difference:
      /^(ext: also total(Topic|Group)Num|body: also \.(dataVersion|mappingDataVersion|subscriptionGroupTable|topicConfigTable\.(RMQ_SYS_TRANS_\w+|rmq_sys_wheel_timer))\b.*)$/,
    why: 'version stamps, pages, groups, group settings and topics of 5.x',
  },
  {
    versions: NEW,
    exchange: /^heartbeat$/,
    difference: /^ext: (IS_SUPPORT_HEART_BEAT_V2 is false, not true|without IS_SUB_CHANGE)$/,
    why: 'we do not offer heartbeats without subscriptions',
  },
  {
    versions: BOTH,
    exchange: /^send to a (bad name|queue that is not there)$/,
    difference: /^ext: without (MSG_REGION|TRACE_ON)$/,
    why: 'refusals carry no header; no client reads it from one',
  },
  {
    versions: BOTH,
    exchange: /^query by/,
    difference: /^ext: (without )?indexLastUpdate(Phyoffset|Timestamp)\b.*$/,
    why: 'the newest message found, not the newest indexed; tools only print it',
  },
  {
    versions: NEW,
    exchange: /^topic table$/,
    difference:
      /^(ext: totalTopicNum is 14, not 18|body: without \.topicConfigTable\.(rmq_sys_|RMQ_SYS_ROCKSDB_).*)$/,
    why: 'POP and RocksDB stores are not offered',
  },
  {
    versions: BOTH,
    exchange: /^(offset table|broker consume stats)$/,
    difference: /also \.(offsetTable|consumeStatsList\[\])\..*CID_RMQ_SYS_TRANS\b/,
    why: 'the recorded brokers had not looked for half messages yet',
  },
  {
    versions: NEW,
    exchange: /^offset table$/,
    difference: /without \.(groupTopicMap|pullOffsetTable)\b.*$/,
    why: 'derived and volatile parts: brokers that sync from us rebuild or ignore them',
  },
  {
    versions: BOTH,
    exchange: /^delay offset table$/,
    difference: /^body: (without \.offsetTable\.18|also \.dataVersion\.\w+)$/,
    why: 'a level that delivered nothing yet is absent, which means 0; the stamp is 5.x',
  },
  {
    versions: BOTH,
    exchange: /^runtime info$/,
    difference:
      /^body: also \.table\.(scheduleMessageOffset_\d+|brokerVersion|brokerActive|getTransfer+edTps|remainHowManyDataToCommit|(ack|litePull)ThreadPool\w+)$/,
    why: 'every level and the names of both versions are given, so that tools of both read them',
  },
  {
    versions: OLD,
    exchange: /^runtime info$/,
    difference: /^body: also \.table\.timer\w+$/,
    why: 'timer messages came with 5.x',
  },
  {
    versions: BOTH,
    exchange: /^broker config$/,
    difference: /^body: (without|also) [\w.]+$/,
    why: 'keys of every version and our own are listed, but for sizes of thread pools that are not there',
  },
  {
    versions: NEW,
    exchange: /^ha status$/,
    difference: /^body: also \.haClientRuntimeInfo\.(activated|masterAddr)$/,
    why: 'given as empty values where Apache leaves them out',
  },
];
