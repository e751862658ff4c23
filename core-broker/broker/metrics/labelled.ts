// Metrics of a broker by topic and by group: what users of the RocketMQ exporter look at, one row per
// topic or per group and topic (queues are summed). Computed at scrape time from tables and statistics;
// nothing is counted for it. docs/metrics.md holds them against the exporter's names.
// Invariant: a scrape is bounded; rows beyond ROWS_MAX are left out and counted.
import { type Gauge, gauge } from '../../base/index.ts';
import type { HandlerContext } from '../handler-context.ts';
import type { StatName } from '../stats/index.ts';

const ROWS_MAX = 20_000;

const running = new Set<HandlerContext>();
let leftOut = 0;

/** Adds a running broker. @returns removes it again */
export function exposeLabelled(context: HandlerContext): () => void {
  running.add(context);
  return () => void running.delete(context);
}

/** One row: the values of the labels behind cluster and broker, and the value. */
type Row = [labels: string[], value: number];

interface LabelledMetric {
  name: string;
  help: string;
  labels: string[];
  rows: (context: HandlerContext) => Iterable<Row>;
}

function labelled({ name, help, labels, rows }: LabelledMetric): void {
  const labelNames = ['cluster', 'broker', ...labels];
  gauge({
    name,
    help,
    labelNames,
    collect: (self) => {
      self.reset();
      for (const context of running) setRows(self, context, { labelNames, rows: rows(context) });
    },
  });
}

function setRows(
  self: Gauge,
  context: HandlerContext,
  { labelNames, rows }: { labelNames: string[]; rows: Iterable<Row> },
): void {
  const { brokerClusterName, brokerName } = context.parts.config;
  let count = 0;
  for (const [labels, value] of rows) {
    if (++count > ROWS_MAX) {
      leftOut++;
      continue;
    }
    const values = [brokerClusterName, brokerName, ...labels];
    self.set(Object.fromEntries(labelNames.map((label, at) => [label, values[at] ?? ''])), value);
  }
}

labelled({
  name: 'dr_broker_put_rate',
  help: 'messages taken per second, over the last minute',
  labels: [],
  rows: ({ stats }) => [[[], stats.rates.perSecond('putTotal', 60)]],
});
labelled({
  name: 'dr_broker_get_rate',
  help: 'messages given out per second, over the last minute',
  labels: [],
  rows: ({ stats }) => [[[], stats.rates.perSecond('getTotal', 60)]],
});

/** Rates of one statistic; its keys are split into labels. */
const rateRows = (name: StatName, split: (key: string) => string[] = (key) => [key]) =>
  function* ({ stats }: HandlerContext): Iterable<Row> {
    for (const key of stats.keys(name)) yield [split(key), stats.perSecond(name, key)];
  };

/** `topic@group` -> group, topic. */
function groupAndTopic(key: string): string[] {
  const cut = key.indexOf('@');
  return [key.slice(cut + 1), key.slice(0, cut)];
}

const rates: [name: string, help: string, stat: StatName, labels: string[]][] = [
  ['topic_put_rate', 'messages sent to a topic per second', 'TOPIC_PUT_NUMS', ['topic']],
  ['topic_put_bytes_rate', 'bytes sent to a topic per second', 'TOPIC_PUT_SIZE', ['topic']],
  ['group_get_rate', 'messages a group reads per second', 'GROUP_GET_NUMS', ['group', 'topic']],
  ['group_get_bytes_rate', 'bytes a group reads per second', 'GROUP_GET_SIZE', ['group', 'topic']],
  ['group_sendback_rate', 'messages sent back per second', 'SNDBCK_PUT_NUMS', ['group', 'topic']],
  ['group_dead_rate', 'dead letters per second', 'DLQ_PUT_NUMS', ['group', 'topic']],
];
for (const [name, help, stat, labels] of rates) {
  const rows = labels.length > 1 ? rateRows(stat, groupAndTopic) : rateRows(stat);
  labelled({ name: `dr_broker_${name}`, help: `${help}, over the last minute`, labels, rows });
}

labelled({
  name: 'dr_broker_topic_offset',
  help: 'sum of the ends of all queues of a topic; its retry and dead letter topics too',
  labels: ['topic'],
  rows: ({ parts }) => {
    const ends = new Map<string, number>();
    for (const { topic, max } of parts.store.queues()) {
      if (parts.tables.topics.find(topic)) ends.set(topic, (ends.get(topic) ?? 0) + max);
    }
    return [...ends].map(([topic, end]): Row => [[topic], end]);
  },
});

interface Progress {
  offset: number;
  behind: number;
}

/** Group and topic -> offsets and distance to the end, summed over queues. */
function* progress({ parts }: HandlerContext): Iterable<[string[], Progress]> {
  const { offsets, topics } = parts.tables;
  for (const { topic, group } of offsets.subscribed()) {
    if (!topics.find(topic)) continue;
    const sum = { offset: 0, behind: 0 };
    for (const [queueId, offset] of offsets.queuesOf(topic, group)) {
      sum.offset += offset;
      sum.behind += Math.max((parts.store.bounds({ topic, queueId })?.max ?? 0) - offset, 0);
    }
    yield [[group, topic], sum];
  }
}

labelled({
  name: 'dr_broker_group_offset',
  help: 'sum of the offsets of a group in a topic',
  labels: ['group', 'topic'],
  rows: function* (context) {
    for (const [labels, { offset }] of progress(context)) yield [labels, offset];
  },
});
labelled({
  name: 'dr_broker_group_behind_messages',
  help: 'messages a group has not yet confirmed, in queues it has an offset in',
  labels: ['group', 'topic'],
  rows: function* (context) {
    for (const [labels, { behind }] of progress(context)) yield [labels, behind];
  },
});
labelled({
  name: 'dr_broker_group_members',
  help: 'consumers online',
  labels: ['group'],
  rows: function* ({ parts, consumers }) {
    for (const { groupName } of parts.tables.groups.all()) {
      yield [[groupName], consumers.find(groupName)?.channels.size ?? 0];
    }
  },
});
gauge({
  name: 'dr_broker_rows_left_out',
  help: 'rows of labelled metrics beyond the limit, since start',
  collect: (self) => self.set(leftOut),
});
