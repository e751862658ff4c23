// What the other files leave out, against a stock 5.5.0 region and ours with the same programs: Go
// transactions, requests, SQL92 and tag filters and delays, ali-ons filters and delays, recall of timer messages by
// Java 5.5.0, and the examples of rocketmq-example that end by themselves, unchanged.
// docs/interop.md says where each client meets each feature.
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../cli/demo/process.ts';
import type { RunningClient } from '../peers/clients.ts';
import { jarsOf } from '../peers/install.ts';
import { COUNT, closeSites, Desk, openSites, PATIENCE, type Start } from './desk.ts';

const LEVEL_1_MS = 1_000;
const RECALL = path.join(import.meta.dirname, '../clients/java/RecallCases.java');
const EXAMPLES = path.join(import.meta.dirname, '../clients/java/ExampleCases.java');

/** Examples -> how many results with SEND_OK they print. */
const EXAMPLE_SENDS = {
  'quickstart.Producer': 1_000,
  'simple.Producer': 128,
  'simple.AsyncProducer': 0,
  'batch.SimpleBatchProducer': 1,
  'filter.TagFilterProducer': 60,
  'filter.SqlFilterProducer': 10,
  'ordermessage.Producer': 100,
  'schedule.ScheduledMessageProducer': 100,
  'schedule.TimerMessageProducer': 10,
  'tracemessage.TraceProducer': 128,
  'tracemessage.OpenTracingProducer': 1,
};
/** Topics of theirs -> messages in them afterwards. */
const EXAMPLE_TOPICS = {
  TopicTest: 1_257,
  Jodie_topic_1023: 100,
  BatchTest: 3,
  TagFilterTest: 60,
  SqlFilterTest: 10,
  TopicTestjjj: 100,
};

beforeAll(openSites);
afterAll(closeSites);

const seen = (client: RunningClient): string[] =>
  client
    .events()
    .filter(({ op }) => op === 'consume')
    .map(({ key }) => key);
const unique = (keys: string[]): string[] => [...new Set(keys)].sort();

interface Filtered {
  kind: Start['kind'];
  filter: Record<string, string>;
  wanted: string[];
}

/** Reads with a filter what is sent: all that is wanted, and nothing else up to a last message. */
async function expectFiltered(desk: Desk, { kind, filter, wanted }: Filtered): Promise<void> {
  const reader = await desk.start({ kind, mode: 'consume', more: filter });
  await desk.send(kind, { prefix: 'a', tag: 'TagA', aged: 'on' });
  await desk.send(kind, { prefix: 'b', tag: 'TagB', aged: 'on' });
  await desk.send(kind, { prefix: 'last', tag: 'TagA', aged: 'on' });
  const all = [...wanted, ...keysOf('last', 7)];
  const hasAll = () => all.every((key) => seen(reader).includes(key));
  await waitFor('all that passes the filter', hasAll, PATIENCE);
  await reader.stop();
  expect(unique(seen(reader)).filter((key) => !key.startsWith('last'))).toEqual(wanted);
}

const keysOf = (prefix: string, from = 0, to = COUNT): string[] =>
  Array.from({ length: to - from }, (_, i) => `${prefix}.0-${from + i}`);

async function delayed(desk: Desk, kind: Start['kind']): Promise<void> {
  const reader = await desk.start({ kind, mode: 'consume' });
  const events = await desk.send(kind, { prefix: 'late', level: 1 });
  const hasAll = () => unique(seen(reader)).length === COUNT;
  await waitFor('all delayed ones', hasAll, PATIENCE);
  await reader.stop();
  for (const { key, t } of reader.events()) {
    const invoked = events.find((event) => event.phase === 'invoke' && event.key === key);
    expect(t - (invoked?.t ?? 0), key).toBeGreaterThanOrEqual(LEVEL_1_MS);
  }
}

describe.each(['stock', 'ours'])('%s', { concurrent: true }, (where) => {
  test('go: a transaction producer commits, rolls back, and is asked back', async () => {
    const desk = await Desk.open(where, 'go-tx');
    const reader = await desk.start({ kind: 'go', mode: 'consume' });
    const producer = await desk.start({ kind: 'go', mode: 'transaction', more: { count: 2 } });
    const checks = () => unique(producer.events().flatMap((e) => (e.op === 'check' ? e.key : [])));
    const late = ['late-commit-0', 'late-commit-1', 'late-rollback-0', 'late-rollback-1'];
    await waitFor('every check', () => late.every((key) => checks().includes(key)), PATIENCE);
    const committed = ['commit-0', 'commit-1', 'late-commit-0', 'late-commit-1'];
    const hasAll = () => unique(seen(reader)).length >= committed.length;
    await waitFor('the committed ones', hasAll, PATIENCE);
    await producer.stop();
    await reader.stop();
    expect(unique(seen(reader))).toEqual(committed);
    // A stock broker writes down what is settled a while later and may ask about that, too.
    if (where === 'ours') expect(checks()).toEqual(late);
  });

  test('go: questions are answered, asked and waited for or asked and called back', async () => {
    const desk = await Desk.open(where, 'go-request');
    const asking = await desk.start({ kind: 'go', mode: 'request', more: { count: 3 } });
    const answers = (await asking.finished()).map(({ phase, key }) => `${phase} ${key}`);
    expect(answers).toEqual(['ok re: q0', 'ok re: q1', 'ok re: q2']);
  });

  test('go: a tag filter', async () => {
    const desk = await Desk.open(where, 'go-tags');
    await expectFiltered(desk, { kind: 'go', filter: { filter: 'TagA' }, wanted: keysOf('a') });
  });

  test('go: a SQL92 filter', async () => {
    const desk = await Desk.open(where, 'go-sql');
    const filter = { sql: "age > 6 AND TAGS = 'TagA'" };
    await expectFiltered(desk, { kind: 'go', filter, wanted: keysOf('a', 7) });
  });

  test('go: delay levels', async () => delayed(await Desk.open(where, 'go-delay'), 'go'));

  test('ali-ons: a tag filter', async () => {
    const desk = await Desk.open(where, 'ali-tags');
    const filter = { filter: 'TagA' };
    await expectFiltered(desk, { kind: 'ali-ons', filter, wanted: keysOf('a') });
  });

  test('ali-ons: delay levels', async () =>
    delayed(await Desk.open(where, 'ali-delay'), 'ali-ons'));

  test('rocketmq-example: each example ends, and its messages are there', async () => {
    const desk = await Desk.open(where, 'examples');
    const server = `-Drocketmq.namesrv.addr=${desk.site.namesrv}`;
    const words = [server, EXAMPLES, ...Object.keys(EXAMPLE_SENDS)];
    const child = desk.java('examples', jarsOf('server-5.5.0'), words);
    expect(await child.exited, child.output()).toBe(0);
    const lines = [...child.output().matchAll(/^CASE (\S+) (.*)$/gm)];
    const wanted = Object.entries(EXAMPLE_SENDS).map(([name, sends]) => [name, `ended ${sends}`]);
    expect(lines.map(([, name, verdict]) => [name, verdict])).toEqual(wanted);
    for (const [topic, count] of Object.entries(EXAMPLE_TOPICS))
      expect([topic, await desk.size(topic, 4)]).toEqual([topic, count]);
  });

  test('java-5.5.0: recalls a timer message', async () => {
    const desk = await Desk.open(where, 'recall');
    const words = [`namesrv=${desk.site.namesrv}`, `topic=${desk.topic}`];
    const child = desk.java('recall', jarsOf('client-5.5.0'), [RECALL, ...words]);
    expect(await child.exited, child.output()).toBe(0);
    const lines = [...child.output().matchAll(/^CASE (\S+) (.*)$/gm)];
    expect(Object.fromEntries(lines.map(([, name, verdict]) => [name, verdict]))).toEqual({
      'plain-handle': 'null',
      recall: 'true',
      'bad-handle': 'MQClientException',
      'no-handle': 'MQClientException',
      delivered: 'later,plain,stays',
    });
  });
});
