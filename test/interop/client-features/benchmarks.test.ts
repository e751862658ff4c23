// The benchmark programs of rocketmq-example 5.5.0 against a stock 5.5.0 region and ours, judged by what they
// count and by what the broker holds afterwards, never by speed.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../cli/demo/process.ts';
import { closeSites, Desk, openSites, PATIENCE } from './desk.ts';

beforeAll(openSites);
afterAll(closeSites);

// One after the other: what these send is bounded by the machine only.
describe.each(['stock', 'ours'])('%s', (where) => {
  test('benchmark Producer and Consumer: all that was sent is consumed', async () => {
    const desk = await Desk.open(where, 'bench');
    const consumer = desk.benchmark('Consumer', ['-g', 'bench-consumers', '-w', '4']);
    const words = ['-w', '2', '-s', '128', '-q', '600', '-k', 'true', '-l', '2'];
    const producer = desk.benchmark('Producer', words);
    expect(await producer.exited, producer.output()).toBe(0);
    const total = /\[Complete\] Send Total: (\d+).*Send Failed: (\d+).*Response Failed: (\d+)/;
    const [, ...counts] = total.exec(producer.output()) ?? [];
    expect(counts.map(Number), producer.output()).toEqual([600, 0, 0]);
    expect(await desk.size()).toBe(600);
    const isRead = async () => (await desk.consumed('bench-consumers')) === 600;
    await waitFor('all to be consumed', isRead, PATIENCE);
    consumer.kill();
  });

  test('benchmark BatchProducer: batches arrive whole', async () => {
    const desk = await Desk.open(where, 'bench-batch');
    const producer = desk.benchmark('BatchProducer', ['-w', '1', '-b', '8', '-s', '64']);
    await waitFor('batches', async () => (await desk.size()) >= 800, PATIENCE);
    producer.kill();
    await producer.exited;
    expect((await desk.size()) % 8).toBe(0);
    expect(producer.output()).not.toMatch(/Exception/);
  });

  test('benchmark TransactionProducer: all is taken, what is unknown is asked back once', async () => {
    const desk = await Desk.open(where, 'bench-tx');
    const rates = ['-sr', '0.2', '-su', '0.2', '-cr', '0.5', '-cu', '0'];
    const words = ['-w', '1', '-s', '64', '-i', '50', '-ri', '1000', ...rates];
    const producer = desk.benchmark('TransactionProducer', words);
    const line =
      /Send Failed: (\d+) . Check: (\d+) . UnexpectedCheck: (\d+) . DuplicatedCheck: (\d+)/g;
    const told = () =>
      [...producer.output().matchAll(line)].map(([, ...all]) => all.map(Number)).at(-1) ?? [];
    await waitFor('checks', () => (told()[1] ?? 0) > 0, PATIENCE);
    const [failed, , unexpected, doubled] = told();
    expect([failed, doubled], producer.output()).toEqual([0, 0]);
    // A stock broker writes down what is settled a while later and may ask about that, too.
    if (where === 'ours') expect(unexpected).toBe(0);
    expect(await desk.size()).toBeGreaterThan(0);
    producer.kill();
  });
});
