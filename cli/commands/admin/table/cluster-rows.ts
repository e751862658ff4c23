// Admin commands about clusters, brokers and name servers. Names and letters are those of mqadmin.
import { type AdminRow, broker, cluster, flag, must, opt, topic } from './letters.ts';

const brokers = () => import('../brokers.ts');
const nameservers = () => import('../nameservers.ts');
const exporting = () => import('../exports.ts');
const rates = () => import('../rates.ts');
const acl = () => import('../acl.ts');

const byName = must('-b, --brokerName <name>', 'broker name, not its address');
const key = must('-k, --key <key>', 'key');
const value = must('-v, --value <value>', 'value');
const namespace = must('-s, --namespace <name>', 'namespace of the name server table');
const folder = opt('-f, --filePath <folder>', 'folder to write to (default: ./rocketmq-export)');

export const CLUSTER_ROWS: AdminRow[] = [
  {
    name: 'clusterList',
    about: 'brokers with version, rates, queue of waiting sends, disk',
    options: [
      opt('-c, --clusterName <name>', 'this cluster only'),
      flag('-m, --moreStats', 'messages in and out, today and yesterday'),
    ],
    example: '-n 127.0.0.1:9876',
    load: async () => (await brokers()).clusterList,
  },
  {
    name: 'brokerStatus',
    about: 'every figure of a broker (runtime info)',
    options: [broker, cluster],
    example: '-b 127.0.0.1:10911',
    load: async () => (await brokers()).brokerStatus,
  },
  {
    name: 'getBrokerConfig',
    about: 'the effective configuration of a broker',
    options: [broker, cluster],
    example: '-b 127.0.0.1:10911',
    load: async () => (await brokers()).getBrokerConfig,
  },
  {
    name: 'updateBrokerConfig',
    about: 'change one key of a broker now',
    options: [broker, cluster, key, value],
    example: '-b 127.0.0.1:10911 -k fileReservedTime -v 48',
    load: async () => (await brokers()).updateBrokerConfig,
  },
  {
    name: 'haStatus',
    about: 'the log of a master and who copies it',
    options: [broker, cluster],
    example: '-b 127.0.0.1:10911',
    load: async () => (await brokers()).haStatus,
  },
  {
    name: 'cleanExpiredCQ',
    about: 'delete consume queue files whose messages are gone',
    options: [broker, cluster],
    example: '-c DefaultCluster',
    load: async () => (await brokers()).cleanExpiredCQ,
  },
  {
    name: 'cleanUnusedTopic',
    about: 'delete consume queues of topics that do not exist any more',
    options: [broker, cluster],
    example: '-c DefaultCluster',
    load: async () => (await brokers()).cleanUnusedTopic,
  },
  {
    name: 'deleteExpiredCommitLog',
    about: 'delete commit-log files past their time now',
    options: [broker, cluster],
    example: '-b 127.0.0.1:10911',
    load: async () => (await brokers()).deleteExpiredCommitLog,
  },
  {
    name: 'producer',
    about: 'every producer connected to a broker',
    options: [broker, cluster],
    example: '-b 127.0.0.1:10911',
    load: async () => (await brokers()).producer,
  },
  {
    name: 'getNamesrvConfig',
    about: 'the configuration of every name server of -n',
    example: '-n 127.0.0.1:9876',
    load: async () => (await nameservers()).getNamesrvConfig,
  },
  {
    name: 'updateNamesrvConfig',
    about: 'change one key of every name server of -n',
    options: [key, value],
    example: '-k enableTopicList -v true',
    load: async () => (await nameservers()).updateNamesrvConfig,
  },
  {
    name: 'wipeWritePerm',
    about: 'take a broker out of the routes of senders',
    options: [byName],
    example: '-b broker-a',
    load: async () => (await nameservers()).wipeWritePerm,
  },
  {
    name: 'addWritePerm',
    about: 'give a broker back to senders',
    options: [byName],
    example: '-b broker-a',
    load: async () => (await nameservers()).addWritePerm,
  },
  {
    name: 'updateKvConfig',
    about: 'set a key of the name server table',
    options: [namespace, key, value],
    example: '-s myspace -k color -v blue',
    load: async () => (await nameservers()).updateKvConfig,
  },
  {
    name: 'deleteKvConfig',
    about: 'remove a key of the name server table',
    options: [namespace, key],
    example: '-s myspace -k color',
    load: async () => (await nameservers()).deleteKvConfig,
  },
  {
    name: 'updateOrderConf',
    about: 'order configuration of a topic: get, put or delete',
    options: [
      topic,
      opt('-v, --orderConf <text>', 'for put: BROKER:QUEUES divided by ;'),
      must('-m, --method <method>', 'get, put or delete'),
    ],
    example: '-t orders -m put -v broker-a:8',
    load: async () => (await nameservers()).updateOrderConf,
  },
  {
    name: 'clusterRT',
    about: 'how long a send to every broker takes',
    options: [
      opt('-a, --amount <count>', 'sends to each broker (default 20)'),
      opt('-s, --size <bytes>', 'body size (default 128)'),
      opt('-c, --cluster <name>', 'this cluster only'),
    ],
    example: '-a 50 -s 1024',
    load: async () => (await rates()).clusterRT,
  },
  {
    name: 'exportMetadata',
    about: 'write topics and groups to metadata.json',
    options: [
      broker,
      cluster,
      folder,
      flag('-t, --topic', 'topics only'),
      flag('-g, --subscriptionGroup', 'groups only'),
      flag('-s, --specialTopic', 'retry and dead-letter topics too'),
    ],
    example: '-c DefaultCluster -f /tmp/export',
    load: async () => (await exporting()).exportMetadata,
  },
  {
    name: 'exportConfigs',
    about: 'write the configuration of brokers and name servers to configs.json',
    options: [must('-c, --clusterName <name>', 'cluster'), folder],
    example: '-c DefaultCluster -f /tmp/export',
    load: async () => (await exporting()).exportConfigs,
  },
  {
    name: 'exportMetrics',
    about: 'write versions, rates and totals to metrics.json',
    options: [must('-c, --clusterName <name>', 'cluster'), folder],
    example: '-c DefaultCluster -f /tmp/export',
    load: async () => (await exporting()).exportMetrics,
  },
  {
    name: 'clusterAclConfigVersion',
    about: 'version of the access keys of each broker (ACL 1.0)',
    options: [broker, cluster],
    example: '-c DefaultCluster',
    load: async () => (await acl()).clusterAclConfigVersion,
  },
  {
    name: 'updateAclConfig',
    about: 'create or change an access key (ACL 1.0)',
    options: [
      broker,
      cluster,
      must('-a, --accessKey <key>', 'access key'),
      opt('-s, --secretKey <secret>', 'secret key'),
      opt('-w, --whiteRemoteAddress <pattern>', 'addresses that need no key'),
      opt('-i, --defaultTopicPerm <perm>', 'DENY, PUB, SUB or PUB|SUB'),
      opt('-u, --defaultGroupPerm <perm>', 'DENY, PUB, SUB or PUB|SUB'),
      opt('-t, --topicPerms <list>', 'topicA=PUB,topicB=SUB'),
      opt('-g, --groupPerms <list>', 'groupA=SUB'),
      opt('-m, --admin <bool>', 'the key may administrate'),
    ],
    example: '-b 127.0.0.1:10911 -a app -s secret-of-app -t orders=PUB',
    load: async () => (await acl()).updateAclConfig,
  },
  {
    name: 'deleteAclConfig',
    about: 'remove an access key (ACL 1.0)',
    options: [broker, cluster, must('-a, --accessKey <key>', 'access key')],
    example: '-b 127.0.0.1:10911 -a app',
    load: async () => (await acl()).deleteAclConfig,
  },
  {
    name: 'updateGlobalWhiteAddr',
    about: 'addresses that need no access key at all (ACL 1.0)',
    options: [broker, cluster, must('-g, --globalWhiteRemoteAddresses <list>', 'patterns')],
    example: '-b 127.0.0.1:10911 -g 10.1.0.*',
    load: async () => (await acl()).updateGlobalWhiteAddr,
  },
];
