// Every key a name server honours, and the keys Apache's dumps list that have no effect here.
// One table per owner: RocketMQ's own keys and the `dr` section of a global name server.
// Defaults are those of Apache 5.5.0. Source: NamesrvConfig and NettyServerConfig, names only.
import {
  boolSetting,
  intSetting,
  parseDefaults,
  type SettingsOf,
  type TextSetting,
  textSetting,
} from '../../base/index.ts';
import { TLS_KEYS, type TlsKey } from '../../remoting/index.ts';

export const NAMESERVER_KEYS = {
  listenPort: intSetting(9876, 'port for clients and brokers; 0 = chosen by the system', {
    max: 65_535,
  }),
  bindAddress: textSetting('0.0.0.0', 'local address to listen on'),
  kvConfigPath: textSetting(
    '',
    'file of the key-value configuration; empty = ~/namesrv/kvConfig.json',
  ),
  configStorePath: textSetting('', 'file that updateNamesrvConfig writes; empty = the file of -c'),
  configBlackList: textSetting(
    'configBlackList;configStorePath;kvConfigPath',
    'keys, divided by ;, that updateNamesrvConfig must not change',
  ),
  scanNotActiveBrokerInterval: intSetting(
    5000,
    'time between two searches for silent brokers, ms',
    {
      min: 10,
    },
  ),
  orderMessageEnable: boolSetting(false, 'routes carry ORDER_TOPIC_CONFIG of their topic'),
  returnOrderTopicConfigToBroker: boolSetting(
    true,
    'registering brokers get the ORDER_TOPIC_CONFIG table',
  ),
  supportActingMaster: boolSetting(false, 'the smallest slave stands in for a lost master'),
  enableAllTopicList: boolSetting(true, 'serve the list of all topics (code 206)'),
  enableTopicList: boolSetting(true, 'serve the other topic lists'),
  notifyMinBrokerIdChanged: boolSetting(false, 'tell group members when the smallest id changes'),
  needWaitForService: boolSetting(false, 'refuse route requests for a while after the start'),
  waitSecondsForService: intSetting(45, 'how long routes are refused after the start, s'),
  deleteTopicWithBrokerRegistration: boolSetting(
    false,
    'a full registration removes topics it does not name',
  ),
  serverChannelMaxIdleTimeSeconds: intSetting(
    120,
    'a connection silent this long is closed, s; read at the start',
    { min: 1, max: 2_000_000 },
  ),
  drHttpPort: intSetting(0, 'port of health, status and metrics over HTTP; 0 = none', {
    max: 65_535,
  }),
  drHttpHost: textSetting('127.0.0.1', 'local address of the HTTP port'),
} as const;

/** TLS of a name server of either kind, and who it is to the servers it calls. */
export const SECURITY_KEYS = {
  drCredentialsFile: textSetting(
    '',
    'YAML file with accessKey and secretKey that sign our own requests',
  ),
  useTLS: boolSetting(false, 'other name of tls.enable'),
  ...(Object.fromEntries(
    Object.entries(TLS_KEYS).map(([key, { meaning }]) => [key, textSetting('', meaning)]),
  ) as { [K in TlsKey]: TextSetting }),
} as const;

export const GLOBAL_KEYS = {
  drMode: textSetting('', 'global = answer from the active region; dual = merge both regions'),
  drRegions: textSetting('', 'east=host:port;host:port|west=host:port: regional name servers'),
  drActiveRegion: textSetting('', 'region that is active until the first flip'),
  drStatePath: textSetting('', 'file that keeps the active region and its epoch'),
  drGateways: textSetting('', 'broker-a=host:port,...: addresses clients get for these brokers'),
  drSecretFile: textSetting('', 'file with the secret that signs DR requests'),
  drPollIntervalMs: intSetting(500, 'time between two polls of the regional name servers, ms', {
    min: 20,
    max: 60_000,
  }),
} as const;

export type NameserverSettings = SettingsOf<typeof NAMESERVER_KEYS>;

/** Without effect here, as key=default of Apache 5.5.0; no default = none, or it depends on the machine. */
const OWN_TEXT = `
rocketmqHome= productEnvName=center clusterTest=false clientRequestThreadPoolNums=8
defaultThreadPoolNums=16 clientRequestThreadPoolQueueCapacity=50000
defaultThreadPoolQueueCapacity=10000 unRegisterBrokerQueueCapacity=3000
enableControllerInNamesrv=false serverWorkerThreads=8 serverCallbackExecutorThreads=0
serverSelectorThreads=3 serverOnewaySemaphoreValue=256 serverAsyncSemaphoreValue=64
serverSocketSndBufSize=0 serverSocketRcvBufSize=0 writeBufferHighWaterMark=0
writeBufferLowWaterMark=0 serverSocketBacklog=1024 serverNettyWorkerGroupEnable=true
serverPooledByteBufAllocatorEnable=true enableShutdownGracefully=false shutdownWaitTimeSeconds=30
useEpollNativeSelector=false
`;
/** The same of Netty clients and of the embedded controller: code 319 does not show them. */
const OTHER_TEXT = `
serverPooledAllocatorEnable=true clientWorkerThreads=4 clientCallbackExecutorThreads=
clientOnewaySemaphoreValue=65535 clientAsyncSemaphoreValue=65535 connectTimeoutMillis=3000
channelNotActiveInterval=60000 clientChannelMaxIdleTimeSeconds=120 clientSocketSndBufSize=0
clientSocketRcvBufSize=0 clientPooledByteBufAllocatorEnable=false clientCloseSocketIfTimeout=true
socksProxyConfig={} disableCallbackExecutor=false disableNettyWorkerGroup=false
maxReconnectIntervalTimeSeconds=60 enableReconnectForGoAway=true enableTransparentRetry=true
controllerType=DLedger controllerThreadPoolNums=16 controllerRequestThreadPoolQueueCapacity=50000
controllerDLegerGroup= controllerDLegerPeers= controllerDLegerSelfId= mappedFileSize=1073741824
controllerStorePath= enableElectUncleanMaster=false isProcessReadEvent=false
processReadEvent=false notifyBrokerRoleChanged=true scanInactiveMasterInterval=5000
metricsExporterType=DISABLE metricsGrpcExporterTarget= metricsGrpcExporterHeader=
metricGrpcExporterTimeOutInMills=3000 metricGrpcExporterIntervalInMills=60000
metricLoggingExporterIntervalInMills=10000 metricsPromExporterPort=5557 metricsPromExporterHost=
metricsLabel= metricsInDelta=false namesrvAddr= electMasterMaxRetryCount=3
isScanAvailableNameSrv=true scanAvailableNameSrv=true jRaftControllerRPCAddr=
jRaftElectionTimeoutMs=1000 jRaftGroupId=jRaft-Controller jRaftInitConf=
jRaftScanWaitTimeoutMs=1000 jRaftServerId= jRaftSnapshotIntervalSecs=3600
`;

export const SHOWN_INERT_KEYS: ReadonlyMap<string, string> = parseDefaults(OWN_TEXT);
export const INERT_KEYS: ReadonlyMap<string, string> = new Map([
  ...SHOWN_INERT_KEYS,
  ...parseDefaults(OTHER_TEXT),
]);
