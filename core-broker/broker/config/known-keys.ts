// Keys of Apache 4.9 and 5.x brokers that load without an error but have no effect here: thread pools
// (there are none), features of later versions of this program, replication inside a cluster.
// A file that gives one of them another value than its default gets a warning by name, because the
// operator asked for something. An empty default means: always warn.
// Source: configuration dumps of 4.9.7 and 5.5.0.

const DEFAULTS_TEXT = `
accessMessageInMemoryMaxRatio=40 aclEnable=false adminBrokerThreadPoolNums=16
allAckInSyncStateSet=false allowRecallWhenBrokerNotWriteable=true asyncLearner=false
authenticationEnabled=false authenticationMetadataProvider= authenticationProvider=
authenticationWhitelist= authorizationEnabled=false authorizationMetadataProvider=
authorizationProvider= authorizationWhitelist= autoDeleteUnusedStats=true
autoMessageVersionOnTopicLen=true brokerConfigPath= brokerElectionPriority=2147483647
brokerFastFailureEnable=true brokerHeartbeatInterval=1000 brokerNotActiveTimeoutMillis=10000
checkCRCOnRecover=true checkSyncStateSetPeriod=5000 cleanFileForciblyEnable=true
cleanResourceInterval=10000 clientManageThreadPoolNums=32 commercialBaseCount=1
commercialBigCount=1 commercialEnable=true commercialTimerCount=1 commercialTransCount=1
compressedRegister=false configManagerVersion=v1 consumerFallbehindThreshold=17179869184
consumerManageThreadPoolNums=32 controllerAddr= controllerHeartBeatTimeoutMills=10000 dLegerGroup=
dLegerPeers= dLegerSelfId= destroyMapedFileIntervalForcibly=120000
disableConsumeIfConsumerReadSlowly=false diskSpaceCleanForciblyRatio=85
diskSpaceWarningLevelRatio=90 duplicationEnable=false enableAutoInSyncReplicas=false
enableBatchPush=false enableBroadcastOffsetStore=true enableCalcFilterBitMap=false
enableConsumeQueueExt=false enableControllerMode=false enableDLegerCommitLog=false
enableDetailStat=true enableLmq=false enableMixedMessageType=false enableMultiDispatch=false
enablePropertyFilter=false enableRemoteEscape=false enableScheduleAsyncDeliver=false
enableScheduleMessageStats=true enableShutdownGracefully=false enableSingleTopicRegister=false
enableSlaveActingMaster=false enableSplitMetadata=true enableSplitRegistration=false
enabledAppendPropCRC=false endTransactionThreadPoolNums= fetchControllerAddrByDnsLookup=false
fetchNameSrvAddrByDnsLookup=false fetchNamesrvAddrByAddressServer=false
fetchNamesrvAddrInterval=10000 filterServerNums=0 filterSupportRetry=false
flushCommitLogLeastPages=4 flushCommitLogThoroughInterval=10000 flushCommitLogTimed=true
flushConsumeQueueLeastPages=2 flushConsumeQueueThoroughInterval=60000 flushConsumerOffsetHistoryInterval=60000
flushIntervalConsumeQueue=1000 forceRegister=true forceVerifyPropCRC=false
haFlowControlEnable=false haMasterAddress= haMaxGapNotInSync=268435456
haMaxTimeSlaveNotCatchup=15000 haSlaveFallbehindMax=268435456 heartbeatThreadPoolNums=
inSyncReplicas=1 initAuthenticationUser= innerClientAuthenticationCredentials=
isEnableBatchPush=false isolateLogEnable=false litePullMessageThreadPoolNums= lockInStrictMode=false
mappedFileSizeTimerLog=104857600 maxDelayTime=40 maxHaTransferByteInSecond=104857600
maxRecoveryCommitlogFiles=30 maxTopicLength=127 maxTransferBytesOnMessageInDisk=65536
maxTransferCountOnMessageInDisk=8 messageIndexSafe=false messageStorePlugIn= metricsExporterType=
metricsGrpcExporterTarget= metricsPromExporterHost= metricsPromExporterPort=5557
migrateAuthFromV1Enabled=false minInSyncReplicas=1 offsetCheckInSlave=false
osPageCacheBusyTimeOutMills=1000 preferredLeaderId= processReplyMessageThreadPoolNums=
pullBatchMaxMessageCount=160 pullMessageThreadPoolNums= pullThreadPoolQueueCapacity=100000
queryMessageThreadPoolNums= queryThreadPoolQueueCapacity=20000 recallMessageEnable=false
rmqAddressServerDomain=jmenv.tbsite.net rmqAddressServerSubGroup=nsaddr rocketmqHome=
sendMessageThreadPoolNums= sendThreadPoolQueueCapacity=10000 serverAsyncSemaphoreValue=64
serverCallbackExecutorThreads=0 serverChannelMaxIdleTimeSeconds=120
serverOnewaySemaphoreValue=256 serverPooledByteBufAllocatorEnable=true serverSelectorThreads=3
serverSocketBacklog=1024 serverSocketRcvBufSize=0 serverSocketSndBufSize=0 serverWorkerThreads=8
clientAsyncSemaphoreValue=65535 clientCallbackExecutorThreads= clientChannelMaxIdleTimeSeconds=120
clientCloseSocketIfTimeout=true clientOnewaySemaphoreValue=65535 clientPooledByteBufAllocatorEnable=false
clientSocketRcvBufSize=0 clientSocketSndBufSize=0 clientWorkerThreads=4 connectTimeoutMillis=3000
channelNotActiveInterval=60000 useTLS=false
shutdownWaitTimeSeconds=30 skipPreOnline=false slaveReadEnable=false slaveTimeout=3000
splitMetadataSize=2000 splitRegistrationSize=800 storePathBrokerIdentity= storePathDLedgerCommitLog=
storePathEpochFile= storeReplyMessageEnable=true storeType=default syncBrokerMemberGroupPeriod=1000
syncBrokerMetadataPeriod=5000 syncControllerMetadataPeriod=10000 syncFromLastFile=false
timerInterceptDelayLevel=false timerMaxDelaySec=259200 timerPrecisionMs=1000
timerRollWindowSlot=172800 timerWheelEnable=true totalReplicas=1 transactionCheckInterval=30000
transactionCheckMax=15 transactionOpBatchInterval=3000 transactionOpMsgMaxSize=4096
transactionTimeOut=6000 transferMsgByHeap=true transientStorePoolEnable=false
transientStorePoolSize=5 useEpollNativeSelector=false useServerSideResetOffset=true
waitTimeMillsInHeartbeatQueue=31000 waitTimeMillsInPullQueue=5000 waitTimeMillsInSendQueue=200
waitTimeMillsInTransactionQueue=3000 warmMapedFileEnable=false
`;

/** Known keys without effect -> default of Apache 5.5.0 ('' = none or depends on the machine). */
export const UNSUPPORTED_KEYS: ReadonlyMap<string, string> = new Map(
  DEFAULTS_TEXT.trim()
    .split(/\s+/)
    .map((pair): [string, string] => {
      const cut = pair.indexOf('=');
      return [pair.slice(0, cut), pair.slice(cut + 1)];
    }),
);
