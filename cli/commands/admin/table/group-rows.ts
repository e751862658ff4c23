// Admin commands about consumer groups and their clients. Names and letters are those of mqadmin.
import { type AdminRow, broker, cluster, flag, group, must, opt, topic } from './letters.ts';

const groups = () => import('../groups.ts');
const offsets = () => import('../offsets.ts');

const consumer = must('-g, --consumerGroup <group>', 'consumer group');
const moved = must('-g, --group <group>', 'consumer group');
const force = opt('-f, --force <bool>', 'move forward too (default true)');

export const GROUP_ROWS: AdminRow[] = [
  {
    name: 'updateSubGroup',
    about: 'create or change a consumer group',
    options: [
      broker,
      cluster,
      group,
      opt('-s, --consumeEnable <bool>', 'may consume'),
      opt('-m, --consumeFromMinEnable <bool>', 'a new group may start at the oldest message'),
      opt('-d, --consumeBroadcastEnable <bool>', 'may broadcast'),
      opt('-o, --consumeMessageOrderly <bool>', 'orderly (POP)'),
      opt('-q, --retryQueueNums <count>', 'queues of the retry topic'),
      opt('-r, --retryMaxTimes <count>', 'tries before the dead-letter topic'),
      opt('-i, --brokerId <id>', 'broker id to read from'),
      opt('-w, --whichBrokerWhenConsumeSlowly <id>', 'broker id for slow readers'),
      opt('-a, --notifyConsumerIdsChanged <bool>', 'tell members of changes'),
    ],
    example: '-c DefaultCluster -g billing -r 5',
    load: async () => (await groups()).updateSubGroup,
  },
  {
    name: 'deleteSubGroup',
    about: 'delete a consumer group',
    options: [broker, cluster, group, opt('-r, --removeOffset <bool>', 'and its offsets')],
    example: '-c DefaultCluster -g billing -r true',
    load: async () => (await groups()).deleteSubGroup,
  },
  {
    name: 'consumerProgress',
    about: 'how far a group is; without -g every group in one line',
    options: [
      opt('-g, --groupName <group>', 'consumer group'),
      opt('-t, --topicName <topic>', 'this topic only'),
      opt('-s, --showClientIP <bool>', 'which client has which queue'),
    ],
    example: '-g billing',
    load: async () => (await groups()).consumerProgress,
  },
  {
    name: 'consumerConnection',
    about: 'members of a group and what they subscribe',
    options: [consumer, broker],
    example: '-g billing',
    load: async () => (await groups()).consumerConnection,
  },
  {
    name: 'consumerStatus',
    about: 'what the members of a group say of themselves',
    options: [
      consumer,
      broker,
      opt('-i, --clientId <id>', 'this member only'),
      flag('-s, --jstack', 'with the threads of the program'),
    ],
    example: '-g billing',
    load: async () => (await groups()).consumerStatus,
  },
  {
    name: 'producerConnection',
    about: 'members of a producer group',
    options: [must('-g, --producerGroup <group>', 'producer group'), topic],
    example: '-g shop -t orders',
    load: async () => (await groups()).producerConnection,
  },
  {
    name: 'brokerConsumeStats',
    about: 'progress of every group of one broker',
    options: [
      must('-b, --brokerAddr <address>', 'one broker, HOST:PORT'),
      opt('-l, --level <count>', 'only queues with a backlog of this or more'),
      opt('-o, --order <bool>', 'ordered topics only'),
    ],
    example: '-b 127.0.0.1:10911 -l 1000',
    load: async () => (await groups()).brokerConsumeStats,
  },
  {
    name: 'setConsumeMode',
    about: 'PULL or POP for a group of a topic (5.x)',
    options: [
      broker,
      cluster,
      must('-t, --topicName <topic>', 'topic'),
      group,
      must('-m, --mode <mode>', 'PULL or POP'),
      opt('-q, --popShareQueueNum <count>', 'queues that members share'),
    ],
    example: '-c DefaultCluster -t orders -g billing -m PULL',
    load: async () => (await groups()).setConsumeMode,
  },
  {
    name: 'resetOffsetByTime',
    about: 'move a group to a point in time',
    options: [
      moved,
      topic,
      must('-s, --timestamp <time>', 'now, ms, -1 = newest, 2026-01-31#08:30:00:000'),
      force,
      flag('-c, --cplus', 'accepted: answers are read for every client'),
      broker,
      opt('-q, --queue <id>', 'one queue, with -o (5.x)'),
      opt('-o, --offset <offset>', 'to this queue offset, with -q and -b (5.x)'),
    ],
    example: '-g billing -t orders -s 2026-01-31#08:30:00:000',
    load: async () => (await offsets()).resetOffsetByTime,
  },
  {
    name: 'skipAccumulatedMessage',
    about: 'move a group behind the newest message',
    options: [moved, topic, force, opt('-c, --cluster <name>', 'accepted, not needed')],
    example: '-g billing -t orders',
    load: async () => (await offsets()).skipAccumulatedMessage,
  },
  {
    name: 'cloneGroupOffset',
    about: 'give a group the offsets of another one',
    options: [
      must('-s, --srcGroup <group>', 'group to copy from'),
      must('-d, --destGroup <group>', 'group to change'),
      topic,
      opt('-o, --offline <bool>', 'accepted, not needed'),
    ],
    example: '-s billing -d billing-2 -t orders',
    load: async () => (await offsets()).cloneGroupOffset,
  },
];
