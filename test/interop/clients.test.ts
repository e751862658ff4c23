// The instruments themselves: every mode of every client program against a stock 5.5.0 region, so that a
// failure elsewhere is not a fault of these programs.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../support/dr-parts.ts';
import {
  type ClientKind,
  type ClientMode,
  type HistoryEvent,
  isSupported,
  startClient,
} from './peers/clients.ts';
import { mqadmin, type RunningServer, startBroker, startNameserver } from './peers/rocketmq.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-stock-'));
const version = '5.5.0' as const;
let namesrv: RunningServer;
let broker: RunningServer;

beforeAll(async () => {
  const port = await freePort();
  namesrv = await startNameserver({ version, folder: path.join(folder, 'ns'), port });
  broker = await startBroker({
    version,
    folder: path.join(folder, 'broker'),
    port: (await freePort()) + 2,
    namesrv: namesrv.address,
  });
});
afterAll(async () => {
  await broker?.stop();
  await namesrv?.stop();
  fs.rmSync(folder, { recursive: true });
});

const sent = (events: HistoryEvent[]) =>
  events.filter((event) => event.phase === 'ok').map((event) => event.key);
const seen = (events: HistoryEvent[]) =>
  events.filter((event) => event.op === 'consume').map((event) => event.key);

const kinds: ClientKind[] = ['java-5.5.0', 'go', 'ali-ons'];
const readers: ClientMode[] = ['consume', 'orderly', 'broadcast', 'retry'];

describe.each(kinds)('%s', (kind) => {
  const topic = `modes-${kind.replaceAll('.', '_')}`;
  const at = (mode: ClientMode, more: Record<string, string | number> = {}) => ({
    kind,
    mode,
    namesrv: namesrv.address,
    topic,
    group: `${mode}-${kind.replaceAll('.', '_')}`,
    folder,
    name: `${kind}-${mode}`,
    // ali-ons reads the route of its retry topic at the next poll only.
    more: { poll: 1_000, ...more },
  });

  test('writes down every mode it has', async () => {
    const place = ['-n', namesrv.address, '-c', 'DefaultCluster', '-t', topic];
    await mqadmin({ version, folder: path.join(folder, 'tools') }, 'updateTopic', [
      ...place,
      '-r',
      '4',
      '-w',
      '4',
    ]);
    const modes = readers.filter((mode) => isSupported(kind, mode));
    const consumers = await Promise.all(modes.map((mode) => startClient(at(mode))));
    // Broadcasting starts at the end of the queues in some clients: it must be placed before sending.
    const producer = await startClient(at('produce', { count: 40, rate: 100, prefix: 'one' }));
    const keys = sent(await producer.finished());
    expect(keys).toHaveLength(40);
    if (isSupported(kind, 'batch')) {
      const batch = await startClient(at('batch', { count: 32, rate: 100, prefix: 'many' }));
      keys.push(...sent(await batch.finished()));
      expect(keys).toHaveLength(72);
    }
    for (const [index, consumer] of consumers.entries()) {
      const lacking = () => keys.filter((key) => !seen(consumer.events()).includes(key));
      await expect.poll(lacking, { timeout: 90_000, message: modes[index] ?? '' }).toEqual([]);
    }
    const retried = consumers[modes.indexOf('retry')];
    const again = () => retried?.events().filter((event) => (event.reconsume ?? 0) > 0).length;
    await expect.poll(again, { timeout: 90_000 }).toBeGreaterThanOrEqual(keys.length);
    const orderly = consumers[modes.indexOf('orderly')];
    for (const queue of new Set(orderly?.events().map((event) => event.queue))) {
      const events = orderly?.events().filter((event) => event.queue === queue) ?? [];
      const offsets = events.map((event) => event.offset ?? -1);
      expect(offsets).toEqual([...offsets].sort((left, right) => left - right));
    }
    for (const consumer of consumers) await consumer.stop();
  });
});
