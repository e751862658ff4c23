// No key of Apache is forgotten: every key of a 4.9 or 5.x broker and name server either has an effect or
// is known as one without effect, which is said at the start by name. The lists are data on purpose: a
// key that is taken out of the tables by mistake fails here.
import { describe, expect, test } from 'vitest';
import {
  BROKER_KEYS,
  compileBrokerConfig,
  UNSUPPORTED_KEYS,
} from '../../../core-broker/broker/index.ts';
import { INERT_KEYS, NAMESERVER_KEYS } from '../../../core-broker/nameserver/index.ts';

const words = (text: string): string[] => text.trim().split(/\s+/);

/** What an operator of Apache finds in reference pages, by their chapters. */
const CHAPTERS: Record<string, string[]> = {
  identity: words(`brokerClusterName brokerName brokerId brokerRole brokerIP1 brokerIP2 listenPort
    bindAddress haListenPort namesrvAddr fetchNamesrvAddrByAddressServer fetchNameSrvAddrByDnsLookup
    fetchNamesrvAddrInterval rmqAddressServerDomain rmqAddressServerSubGroup registerNameServerPeriod
    registerBrokerTimeoutMills forceRegister compressedRegister brokerPermission
    brokerHeartbeatInterval brokerNotActiveTimeoutMillis regionId enableSingleTopicRegister
    enableSplitRegistration splitRegistrationSize enableSplitMetadata splitMetadataSize
    configBlackList brokerConfigPath rocketmqHome`),
  topics: words(`autoCreateTopicEnable defaultTopicQueueNums autoCreateSubscriptionGroup
    clusterTopicEnable brokerTopicEnable traceTopicEnable msgTraceTopicName traceOn
    enablePropertyFilter filterSupportRetry enableConsumeQueueExt enableCalcFilterBitMap
    rejectTransactionMessage messageDelayLevel storeReplyMessageEnable
    validateSystemTopicWhenUpdateTopic useServerSideResetOffset allowRecallWhenBrokerNotWriteable
    recallMessageEnable enableMixedMessageType maxMessageSize configManagerVersion`),
  consumption: words(`longPollingEnable shortPollingTimeMills notifyConsumerIdsChangedEnable
    slaveReadEnable disableConsumeIfConsumerReadSlowly consumerFallbehindThreshold transferMsgByHeap
    brokerFastFailureEnable waitTimeMillsInSendQueue waitTimeMillsInPullQueue
    waitTimeMillsInLitePullQueue waitTimeMillsInHeartbeatQueue waitTimeMillsInTransactionQueue
    waitTimeMillsInAckQueue waitTimeMillsInAdminBrokerQueue osPageCacheBusyTimeOutMills
    startAcceptSendRequestTimeStamp sendMessageThreadPoolNums sendThreadPoolQueueCapacity
    pullMessageThreadPoolNums pullThreadPoolQueueCapacity queryMessageThreadPoolNums
    adminBrokerThreadPoolNums clientManageThreadPoolNums consumerManageThreadPoolNums
    heartbeatThreadPoolNums endTransactionThreadPoolNums processReplyMessageThreadPoolNums
    maxTransferBytesOnMessageInMemory maxTransferCountOnMessageInMemory
    maxTransferBytesOnMessageInDisk maxTransferCountOnMessageInDisk accessMessageInMemoryMaxRatio
    pullBatchMaxMessageCount lockInStrictMode enableBroadcastOffsetStore autoDeleteUnusedStats
    popPollingSize popPollingMapSize maxPopPollingSize reviveQueueNum reviveInterval reviveMaxSlow
    reviveScanTime reviveAckWaitMs popCkStayBufferTime enablePopLog popReviveMaxAttemptTimes`),
  transactionsAndTimers: words(`transactionTimeOut transactionCheckMax transactionCheckInterval
    transactionOpMsgMaxSize transactionOpBatchInterval timerWheelEnable timerPrecisionMs
    timerRollWindowSlot timerMaxDelaySec timerInterceptDelayLevel mappedFileSizeTimerLog
    enableScheduleAsyncDeliver flushDelayOffsetInterval`),
  store:
    words(`storePathRootDir storePathCommitLog storePathDLedgerCommitLog mappedFileSizeCommitLog
    mappedFileSizeConsumeQueue flushDiskType syncFlushTimeout flushCommitLogTimed
    flushIntervalCommitLog flushCommitLogLeastPages flushCommitLogThoroughInterval
    flushIntervalConsumeQueue flushConsumeQueueThoroughInterval flushConsumerOffsetInterval
    deleteWhen fileReservedTime diskMaxUsedSpaceRatio diskSpaceCleanForciblyRatio
    diskSpaceWarningLevelRatio cleanFileForciblyEnable cleanResourceInterval
    destroyMapedFileIntervalForcibly redeleteHangedFileInterval deleteCommitLogFilesInterval
    deleteFileBatchMax checkCRCOnRecover messageIndexEnable maxHashSlotNum maxIndexNum
    messageIndexSafe transientStorePoolEnable transientStorePoolSize duplicationEnable
    offsetCheckInSlave warmMapedFileEnable storeType maxRecoveryCommitlogFiles maxTopicLength
    autoMessageVersionOnTopicLen enableMultiDispatch enableLmq enabledAppendPropCRC
    forceVerifyPropCRC readOnlyCommitLogStorePaths`),
  replication: words(`haSendHeartbeatInterval haHousekeepingInterval haTransferBatchSize
    haMasterAddress haSlaveFallbehindMax haMaxGapNotInSync slaveTimeout totalReplicas inSyncReplicas
    minInSyncReplicas allAckInSyncStateSet enableAutoInSyncReplicas haFlowControlEnable
    maxHaTransferByteInSecond haMaxTimeSlaveNotCatchup enableSlaveActingMaster enableRemoteEscape
    skipPreOnline syncBrokerMemberGroupPeriod enableControllerMode controllerAddr
    fetchControllerAddrByDnsLookup syncBrokerMetadataPeriod checkSyncStateSetPeriod
    syncControllerMetadataPeriod controllerHeartBeatTimeoutMills brokerElectionPriority
    syncFromLastFile asyncLearner storePathEpochFile storePathBrokerIdentity enableDLegerCommitLog
    dLegerGroup dLegerPeers dLegerSelfId preferredLeaderId enableBatchPush isEnableBatchPush`),
  security: words(`aclEnable authenticationEnabled authorizationEnabled authenticationProvider
    authorizationProvider authenticationWhitelist authorizationWhitelist initAuthenticationUser
    innerClientAuthenticationCredentials migrateAuthFromV1Enabled authenticationMetadataProvider
    authorizationMetadataProvider authenticationStrategy authorizationStrategy userCacheMaxNum
    userCacheExpiredSecond userCacheRefreshSecond aclCacheMaxNum aclCacheExpiredSecond
    aclCacheRefreshSecond statefulAuthenticationCacheMaxNum
    statefulAuthenticationCacheExpiredSecond statefulAuthorizationCacheMaxNum
    statefulAuthorizationCacheExpiredSecond authConfigPath configName clusterName useTLS tls.enable
    tls.server.mode tls.config.file tls.test.mode.enable tls.server.keyPath tls.server.keyPassword
    tls.server.certPath tls.server.trustCertPath tls.server.authClient tls.server.need.client.auth
    tls.client.keyPath tls.client.keyPassword tls.client.certPath tls.client.trustCertPath
    tls.client.authServer`),
  network: words(`useEpollNativeSelector serverWorkerThreads serverSelectorThreads
    serverCallbackExecutorThreads serverOnewaySemaphoreValue serverAsyncSemaphoreValue
    serverChannelMaxIdleTimeSeconds serverSocketSndBufSize serverSocketRcvBufSize
    serverSocketBacklog enableShutdownGracefully shutdownWaitTimeSeconds isolateLogEnable
    enableDetailStat messageStorePlugIn metricsExporterType metricsGrpcExporterTarget
    metricsGrpcExporterHeader metricGrpcExporterTimeOutInMills metricGrpcExporterIntervalInMills
    metricLoggingExporterIntervalInMills metricsPromExporterPort metricsPromExporterHost
    metricsLabel metricsInDelta enableReconnectForGoAway enableTransparentRetry
    memTableFlushInterval socksProxyConfig`),
  only49: words(`filterServerNums commercialEnable commercialTimerCount commercialTransCount
    commercialBigCount commercialBaseCount maxDelayTime`),
};

const NAMESERVER = words(`listenPort kvConfigPath configStorePath configBlackList orderMessageEnable
  returnOrderTopicConfigToBroker clusterTest productEnvName scanNotActiveBrokerInterval
  unRegisterBrokerQueueCapacity supportActingMaster notifyMinBrokerIdChanged enableAllTopicList
  enableTopicList needWaitForService waitSecondsForService deleteTopicWithBrokerRegistration
  clientRequestThreadPoolNums defaultThreadPoolNums clientRequestThreadPoolQueueCapacity
  defaultThreadPoolQueueCapacity enableControllerInNamesrv serverChannelMaxIdleTimeSeconds
  serverWorkerThreads serverSelectorThreads serverCallbackExecutorThreads serverOnewaySemaphoreValue
  serverAsyncSemaphoreValue serverSocketSndBufSize serverSocketRcvBufSize serverSocketBacklog
  bindAddress useEpollNativeSelector enableShutdownGracefully shutdownWaitTimeSeconds controllerType
  controllerDLegerGroup controllerDLegerPeers controllerDLegerSelfId controllerStorePath
  mappedFileSize enableElectUncleanMaster notifyBrokerRoleChanged isProcessReadEvent
  electMasterMaxRetryCount scanInactiveMasterInterval controllerThreadPoolNums
  controllerRequestThreadPoolQueueCapacity jRaftGroupId jRaftServerId jRaftInitConf
  jRaftControllerRPCAddr jRaftElectionTimeoutMs jRaftScanWaitTimeoutMs jRaftSnapshotIntervalSecs
  rocketmqHome`);

describe('every key of a broker of Apache 4.9 and 5.x', () => {
  test.each(Object.entries(CHAPTERS))('%s: has an effect or is known by name', (_, keys) => {
    const missing = keys.filter(
      (key) => !Object.hasOwn(BROKER_KEYS, key) && !UNSUPPORTED_KEYS.has(key),
    );
    expect(missing).toEqual([]);
  });

  test('is in one of the two tables, not in both', () => {
    const both = Object.keys(BROKER_KEYS).filter((key) => UNSUPPORTED_KEYS.has(key));
    expect(both).toEqual([]);
  });

  test('without effect is named at the start when it has another value than its default', () => {
    for (const [key, initial] of UNSUPPORTED_KEYS) {
      const load = (value: string) =>
        compileBrokerConfig({ path: 'broker.conf', entries: new Map([[key, { value, line: 7 }]]) });
      const { config, warnings } = load('other');
      expect(warnings).toEqual([`broker.conf:7: ${key} is known but has no effect here`]);
      expect(config.echoed.get(key)).toBe('other');
      expect(load(initial).warnings, key).toEqual([]);
    }
  });
});

test('every key of a name server of Apache has an effect or is known by name', () => {
  const missing = NAMESERVER.filter(
    (key) => !Object.hasOwn(NAMESERVER_KEYS, key) && !INERT_KEYS.has(key),
  );
  expect(missing).toEqual([]);
});
