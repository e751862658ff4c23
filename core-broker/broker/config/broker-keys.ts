// Every broker key this program honours: type, default, bounds and one sentence each. The typed
// configuration, validation, code 25/26 and the reference page all come from this table.
// Defaults are those of Apache 5.5.0. Source: config dumps of 4.9.7 and 5.5.0.
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import { homeFolder } from '../../base/index.ts';
import { TLS_KEYS, type TlsKey, type TlsKeyText } from '../../remoting/index.ts';
import { localAddress } from './local-address.ts';

interface KeyText {
  /** One sentence for the reference page. */
  meaning: string;
  /** Takes effect at once when changed by code 25; otherwise at the next start. */
  live?: boolean;
}

export interface IntKey extends KeyText {
  kind: 'int';
  initial: number;
  min: number;
  max: number;
}
export interface BoolKey extends KeyText {
  kind: 'bool';
  initial: boolean;
}
export interface TextKey extends KeyText {
  kind: 'text';
  initial: string;
  /** What values look like; undefined = any text. */
  form?: { isValid: (text: string) => boolean; words: string };
}
export interface EnumKey<T extends string = string> extends KeyText {
  kind: 'enum';
  initial: T;
  allowed: readonly T[];
}
export type BrokerKey = IntKey | BoolKey | TextKey | EnumKey;

const MAX_INT = 2 ** 31 - 1;
const MAX_LONG = Number.MAX_SAFE_INTEGER;

const int = (initial: number, meaning: string, more: Partial<IntKey> = {}): IntKey => ({
  kind: 'int',
  initial,
  min: 0,
  max: MAX_INT,
  meaning,
  ...more,
});
const bool = (initial: boolean, meaning: string, live = true): BoolKey => ({
  kind: 'bool',
  initial,
  meaning,
  live,
});
const text = (initial: string, meaning: string, form?: TextKey['form']): TextKey => ({
  kind: 'text',
  initial,
  meaning,
  ...(form ? { form } : {}),
});
const live = <T extends BrokerKey>(key: T): T => ({ ...key, live: true });
const shaped = (pattern: RegExp, words: string): NonNullable<TextKey['form']> => ({
  isValid: (value) => pattern.test(value),
  words,
});
const IP_FORM = { isValid: (value: string) => net.isIP(value) !== 0, words: 'an IP address' };
const SERVERS_FORM = shaped(/^([^\s:;]+:\d{1,5}(;|$))*$/, 'host:port;host:port');
const HOURS_FORM = shaped(/^\d{1,2}(;\d{1,2})*$/, 'hours separated by ;');
const LEVELS_FORM = shaped(/^\d+[smhd](\s+\d+[smhd])*$/, 'numbers with the units s m h d');
const oneOf = <const T extends string>(allowed: readonly T[], meaning: string): EnumKey<T> => ({
  kind: 'enum',
  initial: allowed[0] as T,
  allowed,
  meaning,
});

const LEVELS = '1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h';
const FOLDER_FORM = { isValid: (value: string) => value !== '', words: 'a folder' };
const home = homeFolder();
/** Empty where there is no home: who needs the store asks for the key then. */
const root = home === undefined ? '' : path.join(home, 'store');
const port = { max: 65_535 };

const IDENTITY_KEYS = {
  brokerClusterName: text('DefaultCluster', 'name of the cluster; a topic of that name exists too'),
  brokerName: text(os.hostname() || 'DEFAULT_BROKER', 'name under which clients know the broker'),
  brokerId: int(0, '0 = master; another id is taken for 0, with a warning', { max: MAX_LONG }),
  brokerRole: oneOf(
    ['ASYNC_MASTER', 'SYNC_MASTER', 'SLAVE'],
    'SYNC_MASTER acts as ASYNC_MASTER; SLAVE is refused: see `dr standby`',
  ),
  brokerIP1: text(localAddress(), 'address advertised to clients and stored in records', IP_FORM),
  brokerIP2: text('', 'address advertised to slaves; empty = brokerIP1'),
  listenPort: int(
    10_911,
    'main port; the VIP port is listenPort - 2; 0 = chosen by the system',
    port,
  ),
  bindAddress: text('0.0.0.0', 'address to listen on'),
  haListenPort: int(10_912, 'HA port; 0 = chosen by the system', port),
  namesrvAddr: live(text('', 'name servers, `host:port;host:port`', SERVERS_FORM)),
  regionId: live(text('DefaultRegion', 'value of the MSG_REGION property of every message')),
  registerNameServerPeriod: int(
    30_000,
    'time between two registrations, ms; less than 10000 or more than 60000 counts as these',
  ),
  forceRegister: bool(true, 'register each period; false = only where the data version differs'),
  compressedRegister: bool(false, 'registrations are compressed: no topic flags, no order mark'),
  enableSingleTopicRegister: bool(false, 'a changed topic is announced alone, by code 217'),
  enableSplitRegistration: bool(
    false,
    'a registration is cut into pieces of splitRegistrationSize',
  ),
  splitRegistrationSize: int(800, 'topics per piece of a registration', { min: 2, live: true }),
  fetchNameSrvAddrByDnsLookup: bool(
    false,
    'host names in namesrvAddr stand for all their addresses',
  ),
  updateNameServerAddrPeriod: int(120_000, 'time between two lookups of those names, ms', {
    min: 10,
  }),
  fetchNamesrvAddrByAddressServer: bool(
    false,
    'without namesrvAddr: an HTTP address server says where name servers are',
  ),
  fetchNamesrvAddrInterval: int(10_000, 'time between two questions to the address server, ms', {
    min: 10,
  }),
  rmqAddressServerDomain: text(
    'jmenv.tbsite.net',
    'host of the address server, or host:port; the port is 8080',
  ),
  rmqAddressServerSubGroup: text('nsaddr', 'last part of its path: /rocketmq/nsaddr'),
  registerBrokerTimeoutMills: live(
    int(24_000, 'time-out of one registration at one name server, ms', { min: 1 }),
  ),
  brokerPermission: int(6, 'what clients may do: 6 = all, 4 = read only, 2 = write only', {
    max: 6,
    live: true,
  }),
  serverChannelMaxIdleTimeSeconds: int(120, 'a connection silent this long is closed, s', {
    min: 1,
    max: 2_000_000,
  }),
  drHttpPort: int(0, 'port of health, status and metrics over HTTP; 0 = none', port),
  drHttpHost: text('127.0.0.1', 'local address of the HTTP port', IP_FORM),
  enableShutdownGracefully: bool(
    false,
    'a stop first asks clients newer than 5.3.1 to leave (code 1500)',
  ),
  shutdownWaitTimeSeconds: int(30, 'longest wait of such a stop until they have left, s', {
    live: true,
  }),
  configBlackList: text('', 'keys code 25 may not change, separated by ;'),
  startAcceptSendRequestTimeStamp: int(0, 'sends are refused before this time, ms since 1970', {
    max: MAX_LONG,
    live: true,
  }),
} as const;

const TOPIC_KEYS = {
  autoCreateTopicEnable: bool(true, 'unknown topics are created from TBW102 at the first send'),
  defaultTopicQueueNums: int(8, 'queues of TBW102: most queues of a topic created by a send', {
    min: 1,
    max: 65_535,
  }),
  autoCreateSubscriptionGroup: bool(true, 'unknown groups are created at their first request'),
  clusterTopicEnable: bool(
    true,
    'a new store: the topic named like the cluster is writable',
    false,
  ),
  brokerTopicEnable: bool(true, 'a new store: the topic named like the broker is writable', false),
  traceTopicEnable: bool(false, 'the trace topic is created at start', false),
  msgTraceTopicName: text('RMQ_SYS_TRACE_TOPIC', 'name of the trace topic'),
  traceOn: bool(true, 'tells clients to trace: value of the TRACE_ON property of every message'),
  validateSystemTopicWhenUpdateTopic: bool(true, 'system topics cannot be changed by code 17'),
  messageDelayLevel: text(LEVELS, 'delay of each level, with units s m h d', LEVELS_FORM),
  maxMessageSize: int(4_194_304, 'largest body, bytes; larger is refused with code 13', {
    min: 1,
    live: true,
  }),
  notifyConsumerIdsChangedEnable: bool(true, 'code 40 is pushed when a group changes'),
  enablePropertyFilter: bool(false, 'consumers may subscribe by SQL92 expressions'),
  filterSupportRetry: bool(false, 'expressions apply to retry topics too'),
  filterDataCleanTimeSpan: int(
    86_400_000,
    'expressions of consumers that are gone for so long are dropped, ms',
    {
      live: true,
    },
  ),
  maxErrorRateOfBloomFilter: int(
    20,
    'no effect here; written to consumerFilter.json for Apache, percent',
    {
      min: 1,
      max: 99,
    },
  ),
  expectConsumerNumUseFilter: int(32, 'no effect here; written to consumerFilter.json for Apache', {
    min: 1,
  }),
  litePullMessageEnable: bool(true, 'lite pull consumers (code 361) are served'),
  slaveReadEnable: bool(
    false,
    'readers that are far behind are sent to the broker id that their group names',
  ),
  accessMessageInMemoryMaxRatio: int(
    40,
    'behind the end of the log by more than this share of the memory is far behind, percent',
    {
      max: 100,
      live: true,
    },
  ),
  disableConsumeIfConsumerReadSlowly: bool(
    false,
    'groups farther behind than consumerFallbehindThreshold are switched off',
  ),
  consumerFallbehindThreshold: int(
    17_179_869_184,
    'backlog from which a group is too slow, bytes',
    {
      max: MAX_LONG,
      live: true,
    },
  ),
  storeReplyMessageEnable: bool(true, 'replies to requests are also kept in the reply topic'),
  longPollingEnable: bool(true, 'pulls wait for messages as long as the client allows'),
  shortPollingTimeMills: int(1_000, 'wait of a pull without long polling, ms', { live: true }),
  maxTransferBytesOnMessageInMemory: int(262_144, 'bytes per pull answer', { min: 1, live: true }),
  maxTransferCountOnMessageInMemory: int(32, 'messages per pull answer', { min: 1, live: true }),
  serverLoadBalancerEnable: bool(true, 'code 400 shares queues out among the members of a group'),
  enableSplitMetadata: bool(true, 'codes 21 and 201 answer in pages to those who ask for pages'),
  splitMetadataSize: int(2_000, 'rows per page of codes 21 and 201', { min: 1, live: true }),
  useServerSideResetOffset: bool(true, 'code 222 moves offsets here; false = clients are told to'),
  clearRetryTopicWhenDeleteTopic: bool(true, 'code 215 removes POP retry topics of the topic too'),
  autoDeleteUnusedStats: bool(true, 'statistics go with their topic or group'),
  maxTransferBytesOnMessageInDisk: int(262_144, 'bytes per pull answer far back in the log', {
    min: 1,
    live: true,
  }),
  maxTransferCountOnMessageInDisk: int(32, 'messages per pull answer far back in the log', {
    min: 1,
    live: true,
  }),
  defaultQueryMaxNum: int(32, 'messages per answer to a question for a unique key', {
    min: 1,
    live: true,
  }),
  maxMsgsNumBatch: int(64, 'messages per answer to code 12', { min: 1, live: true }),
  flushConsumerOffsetInterval: int(5_000, 'consumerOffset.json is written this often, ms', {
    min: 100,
  }),
  flushDelayOffsetInterval: int(10_000, 'delayOffset.json is written this often, ms', { min: 100 }),
} as const;

const TRANSACTION_KEYS = {
  rejectTransactionMessage: bool(false, 'half messages are refused with code 16'),
  transactionTimeOut: int(
    6_000,
    'age from which a producer is asked about an open transaction, ms',
    {
      live: true,
    },
  ),
  transactionCheckMax: int(15, 'checks after which a half message is given up', { live: true }),
  transactionCheckInterval: int(30_000, 'time between two rounds of checks, ms', {
    min: 1,
    live: true,
  }),
  transactionOpBatchInterval: int(
    0,
    'settled transactions are marked in the log after this time, ms; 0 = each at once',
    { live: true },
  ),
  transactionOpMsgMaxSize: int(
    4_096,
    'with transactionOpBatchInterval: a list of marks this large is written at once, bytes',
    {
      live: true,
    },
  ),
} as const;

const STORE_KEYS = {
  storePathRootDir: text(root, 'folder of the store', FOLDER_FORM),
  storePathCommitLog: text('', 'commit log folder; empty = commitlog under storePathRootDir'),
  mappedFileSizeCommitLog: int(1_073_741_824, 'size of one commit log file, bytes', { min: 4_096 }),
  mappedFileSizeConsumeQueue: int(6_000_000, 'size of one consume queue file, bytes', { min: 20 }),
  flushDiskType: oneOf(
    ['ASYNC_FLUSH', 'SYNC_FLUSH'],
    'ASYNC acknowledges after the write, SYNC after the disk has it',
  ),
  flushIntervalCommitLog: live(
    int(500, 'ASYNC_FLUSH: the commit log is forced to disk this often, ms', { min: 1 }),
  ),
  osPageCacheBusyTimeOutMills: live(
    int(
      1_000,
      'ASYNC_FLUSH: while a write waits for the system this long, sends are refused with code 2, ms',
    ),
  ),
  syncFlushTimeout: live(
    int(5_000, 'a send that the disk does not take in this time gets code 10, ms', { min: 1 }),
  ),
  flushIntervalConsumeQueue: live(
    int(1_000, 'entries of consume queues are written to their files this often, ms', { min: 1 }),
  ),
  flushConsumeQueueThoroughInterval: int(
    60_000,
    'while more than 256 queue files wait to be synced, a checkpoint is made this often, ms',
    { min: 1, live: true },
  ),
  enabledAppendPropCRC: bool(
    false,
    'every record ends with a checksum of the whole of it, as a property',
    false,
  ),
  forceVerifyPropCRC: bool(
    false,
    'that checksum is compared at boot, by the link and at every read from disk, where a record has one',
    false,
  ),
  autoMessageVersionOnTopicLen: bool(
    true,
    'retry topics above 127 bytes are taken; false = refused with code 13',
    false,
  ),
  checkCRCOnRecover: bool(true, 'bodies are compared with their checksums at boot', false),
  deleteWhen: {
    ...text('04', 'hours of the day for deleting old files, separated by ;', HOURS_FORM),
    live: true,
  },
  fileReservedTime: int(72, 'age after which a log file may be deleted, hours', { live: true }),
  diskMaxUsedSpaceRatio: int(75, 'above this disk use old files go at any hour, percent', {
    max: 100,
    live: true,
  }),
  diskSpaceCleanForciblyRatio: int(
    85,
    'above this disk use files go whatever their age, percent; counts as 30 to 85',
    { max: 100, live: true },
  ),
  diskSpaceWarningLevelRatio: int(
    90,
    'above this disk use sends are refused with 14, percent; counts as 35 to 90',
    { max: 100, live: true },
  ),
  cleanFileForciblyEnable: bool(true, 'files may go before their age when the disk runs full'),
  cleanResourceInterval: int(10_000, 'time between two looks at disk and old files, ms', {
    min: 100,
    live: true,
  }),
  deleteCommitLogFilesInterval: int(100, 'pause between two deleted files, ms', { live: true }),
  deleteFileBatchMax: int(10, 'files deleted in one go at most', { min: 1, live: true }),
  scrubBytesPerSecond: int(
    0,
    'old log files are read again and checked at this rate, bytes per second; 0 = never',
  ),
  maxHashSlotNum: int(5_000_000, 'hash slots per index file', { min: 1 }),
  maxIndexNum: int(20_000_000, 'entries per index file', { min: 1 }),
  messageIndexEnable: bool(true, 'messages are indexed by key', false),
  haSendHeartbeatInterval: int(5_000, 'time between heartbeats on the HA port, ms', {
    min: 1,
    live: true,
  }),
  haHousekeepingInterval: int(20_000, 'silence after which an HA connection is closed, ms', {
    min: 1,
    live: true,
  }),
  haTransferBatchSize: int(32_768, 'bytes per frame on the HA port; counts as at least 1048576', {
    min: 1,
  }),
} as const;

const tlsKey = ([key, { meaning, form }]: [string, TlsKeyText]): [string, TextKey] => [
  key,
  text('', meaning, form && shaped(form.pattern, form.words)),
];
const TLS_TEXT_KEYS = Object.fromEntries(Object.entries(TLS_KEYS).map(tlsKey)) as {
  [K in TlsKey]: TextKey;
};

const SECURITY_KEYS = {
  aclEnable: bool(false, 'requests must be signed; accounts stand in plain_acl.yml', false),
  aclPlainFile: text('', 'ACL file; empty = plain_acl.yml beside this file; acl/*.yml count too'),
  drCredentialsFile: text('', 'YAML file with accessKey and secretKey that sign our own requests'),
  useTLS: bool(false, 'other name of tls.enable', false),
  ...TLS_TEXT_KEYS,
} as const;

const TIMER_KEYS = {
  timerWheelEnable: bool(true, 'timer messages are taken and delivered', false),
  timerPrecisionMs: int(1_000, 'length of one slot of the wheel, ms', { min: 1, max: 60_000 }),
  timerRollWindowSlot: int(
    172_800,
    'slots that a message is parked for at once; a longer wait is parked again',
  ),
  timerMaxDelaySec: int(259_200, 'longest delay of a timer message, s; longer gets code 13', {
    live: true,
  }),
  timerFlushIntervalMs: int(1_000, 'timer files are written this often while there is work, ms', {
    min: 10,
    live: true,
  }),
  timerCongestNumEachSlot: int(MAX_INT, 'messages per slot above which timer sends are refused', {
    live: true,
  }),
  timerStopEnqueue: bool(false, 'parked timer messages are not read'),
  timerStopDequeue: bool(false, 'due timer messages are not delivered'),
  mappedFileSizeTimerLog: int(104_857_600, 'size of one timer log file, bytes', { min: 4_096 }),
  recallMessageEnable: bool(false, 'timer messages can be called back (code 370)'),
  allowRecallWhenBrokerNotWriteable: bool(
    true,
    'timer messages can be called back also while brokerPermission refuses sends',
  ),
  appendTopicForTimerDeleteKey: bool(false, 'the key of a recall holds the topic, too'),
} as const;

/** The honoured keys, in the order of the reference page. */
export const BROKER_KEYS = {
  ...IDENTITY_KEYS,
  ...TOPIC_KEYS,
  ...TRANSACTION_KEYS,
  ...STORE_KEYS,
  ...TIMER_KEYS,
  ...SECURITY_KEYS,
} as const;

export type BrokerKeyName = keyof typeof BROKER_KEYS;

type ValueOf<K extends BrokerKey> = K extends IntKey
  ? number
  : K extends BoolKey
    ? boolean
    : K extends EnumKey<infer T>
      ? T
      : string;

/** Compiled values of all honoured keys. Live keys may change while the broker runs (code 25). */
export type BrokerConfigValues = {
  -readonly [K in BrokerKeyName]: ValueOf<(typeof BROKER_KEYS)[K]>;
};
