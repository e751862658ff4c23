// Admin commands about topics and messages. Names and letters are those of mqadmin.
import { type AdminRow, anyTopic, broker, cluster, flag, must, opt, topic } from './letters.ts';

const topics = () => import('../topics.ts');
const messages = () => import('../messages/finding.ts');
const reading = () => import('../messages/reading.ts');
const rates = () => import('../rates.ts');

const begin = opt('-b, --beginTimestamp <time>', 'from this store time');
const end = opt('-e, --endTimestamp <time>', 'up to this store time');
const tags = opt('-s, --subExpression <tags>', 'tags, as A || B');
const withBody = opt('-d, --printBody <bool>', 'with the body (default true)');

export const TOPIC_ROWS: AdminRow[] = [
  {
    name: 'topicList',
    about: 'every topic; with -c its cluster and groups',
    options: [flag('-c, --clusterModel', 'with clusters and consumer groups')],
    example: '-n 127.0.0.1:9876',
    load: async () => (await topics()).topicList,
  },
  {
    name: 'topicRoute',
    about: 'the route of a topic',
    options: [topic, flag('-l, --list', 'as a table (the default here)')],
    example: '-t orders',
    load: async () => (await topics()).topicRoute,
  },
  {
    name: 'topicStatus',
    about: 'bounds of each queue of a topic',
    options: [topic, opt('-c, --cluster <name>', 'accepted, not needed')],
    example: '-t orders',
    load: async () => (await topics()).topicStatus,
  },
  {
    name: 'topicClusterList',
    about: 'clusters that hold a topic',
    options: [topic],
    example: '-t orders',
    load: async () => (await topics()).topicClusterList,
  },
  {
    name: 'updateTopic',
    about: 'create or change a topic',
    options: [
      broker,
      cluster,
      topic,
      opt('-r, --readQueueNums <count>', 'queues that can be read (default 8)'),
      opt('-w, --writeQueueNums <count>', 'queues that take messages (default 8)'),
      opt('-p, --perm <perm>', '2 = write, 4 = read, 6 = both (default)'),
      opt('-o, --order <bool>', 'ordered topic'),
      opt('-u, --unit <bool>', 'unit topic'),
      opt('-s, --hasUnitSub <bool>', 'has unit subscriptions'),
      opt('-a, --attributes <list>', '+key=value,-key (5.x)'),
    ],
    example: '-c DefaultCluster -t orders -r 8 -w 8',
    load: async () => (await topics()).updateTopic,
  },
  {
    name: 'updateTopicPerm',
    about: 'change what may be done with a topic',
    options: [broker, cluster, topic, must('-p, --perm <perm>', '2 = write, 4 = read, 6 = both')],
    example: '-c DefaultCluster -t orders -p 4',
    load: async () => (await topics()).updateTopicPerm,
  },
  {
    name: 'deleteTopic',
    about: 'delete a topic from a cluster and from the name servers',
    options: [must('-c, --clusterName <name>', 'cluster'), topic],
    example: '-c DefaultCluster -t orders',
    load: async () => (await topics()).deleteTopic,
  },
  {
    name: 'allocateMQ',
    about: 'how queues would be shared out among clients',
    options: [topic, must('-i, --ipList <list>', 'client ids divided by commas')],
    example: '-t orders -i 10.0.0.1,10.0.0.2',
    load: async () => (await topics()).allocateMQ,
  },
  {
    name: 'statsAll',
    about: 'rates and backlog of topics and their groups',
    options: [flag('-a, --activeTopic', 'only topics with traffic'), anyTopic],
    example: '-t orders',
    load: async () => (await rates()).statsAll,
  },
  {
    name: 'checkMsgSendRT',
    about: 'how long sends to a topic take',
    options: [
      topic,
      opt('-a, --amount <count>', 'sends (default 100)'),
      opt('-s, --size <bytes>', 'body size (default 128)'),
    ],
    example: '-t orders -a 200 -s 1024',
    load: async () => (await rates()).checkMsgSendRT,
  },
  {
    name: 'queryCq',
    about: 'entries of one consume queue',
    options: [
      topic,
      must('-q, --queue <id>', 'queue id'),
      must('-i, --index <offset>', 'first entry'),
      opt('-c, --count <count>', 'entries (default 10)'),
      broker,
      opt('-g, --consumer <group>', 'show the subscription of this group'),
    ],
    example: '-t orders -q 0 -i 0 -b 127.0.0.1:10911',
    load: async () => (await topics()).queryCq,
  },
  {
    name: 'sendMessage',
    about: 'send one message',
    options: [
      topic,
      must('-p, --body <text>', 'body'),
      opt('-k, --key <keys>', 'keys'),
      opt('-c, --tags <tag>', 'tag'),
      opt('-b, --broker <name>', 'broker name'),
      opt('-i, --qid <id>', 'queue id'),
    ],
    example: '-t orders -p hello -k order-1',
    load: async () => (await messages()).sendMessage,
  },
  {
    name: 'queryMsgById',
    about: 'a message by its offset id',
    options: [opt('-t, --topic <topic>', 'topic, for unique keys'), must('-i, --msgId <id>', 'id')],
    example: '-i 7F00000100002A9F0000000000000000',
    load: async () => (await messages()).queryMsgById,
  },
  {
    name: 'queryMsgByKey',
    about: 'messages that carry a key',
    options: [
      topic,
      must('-k, --msgKey <key>', 'key'),
      opt('-b, --beginTimestamp <time>', 'from (default: 36 hours ago)'),
      opt('-e, --endTimestamp <time>', 'up to (default: now)'),
      opt('-m, --maxNum <count>', 'at most (default 64)'),
      opt('-c, --cluster <name>', 'accepted, not needed'),
    ],
    example: '-t orders -k order-1',
    load: async () => (await messages()).queryMsgByKey,
  },
  {
    name: 'queryMsgByUniqueKey',
    about: 'a message by the id its producer gave it',
    options: [topic, must('-i, --msgId <id>', 'unique key'), flag('-a, --showAll', 'every copy')],
    example: '-t orders -i 7F0000010FA05C647E0582DF0B3D0000',
    load: async () => (await messages()).queryMsgByUniqueKey,
  },
  {
    name: 'queryMsgByOffset',
    about: 'a message by its place in a queue',
    options: [
      topic,
      must('-b, --brokerName <name>', 'broker name'),
      must('-i, --queueId <id>', 'queue id'),
      must('-o, --offset <offset>', 'queue offset'),
    ],
    example: '-t orders -b broker-a -i 0 -o 0',
    load: async () => (await messages()).queryMsgByOffset,
  },
  {
    name: 'queryMsgTraceById',
    about: 'what happened to a message, from the trace topic',
    options: [
      must('-i, --msgId <id>', 'unique key'),
      opt('-t, --traceTopic <topic>', 'default RMQ_SYS_TRACE_TOPIC'),
      begin,
      end,
      opt('-c, --maxNum <count>', 'at most (default 64)'),
    ],
    example: '-i 7F0000010FA05C647E0582DF0B3D0000',
    load: async () => (await messages()).queryMsgTraceById,
  },
  {
    name: 'consumeMessage',
    about: 'read messages of a topic; no group moves',
    options: [
      topic,
      opt('-b, --brokerName <name>', 'this broker only'),
      opt('-i, --queueId <id>', 'this queue only'),
      opt('-o, --offset <offset>', 'from this queue offset'),
      opt('-g, --consumerGroup <group>', 'group the broker is told'),
      opt('-s, --beginTimestamp <time>', 'from this store time'),
      opt('-e, --endTimestamp <time>', 'up to this store time'),
      opt('-c, --MessageNumber <count>', 'at most (default 128)'),
    ],
    example: '-t orders -c 5',
    load: async () => (await reading()).consumeMessage,
  },
  {
    name: 'printMsg',
    about: 'print the messages of a topic',
    options: [topic, opt('-c, --charsetName <name>', 'text of bodies'), tags, begin, end, withBody],
    example: '-t orders -d true',
    load: async () => (await reading()).printMsg,
  },
  {
    name: 'printMsgByQueue',
    about: 'print the messages of one queue',
    options: [
      topic,
      must('-a, --brokerName <name>', 'broker name'),
      must('-i, --queueId <id>', 'queue id'),
      opt('-c, --charsetName <name>', 'text of bodies'),
      tags,
      begin,
      end,
      opt('-p, --printMsg <bool>', 'the messages (default true)'),
      withBody,
      opt('-f, --calculateByTag <bool>', 'count by tag'),
    ],
    example: '-t orders -a broker-a -i 0',
    load: async () => (await reading()).printMsgByQueue,
  },
];
