// Half messages that are left open by one broker and finished by another over the same store, both ways
// between ours and a stock one; what the first one settled stays settled.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../cli/demo/process.ts';
import {
  COMMIT,
  HALF_TOPIC,
  OP_TOPIC,
  ROLLBACK,
  TransactionClient,
} from '../../support/transactions.ts';
import { ensurePeers } from '../peers/install.ts';
import type { ServerVersion } from '../peers/rocketmq.ts';
import { type Kind, NEVER, PATIENCE, QUICK, Site } from './site.ts';

/** Adds the tests for one stock version to a file. */
export function exchangeSuite(version: ServerVersion): void {
  let site: Site;
  beforeAll(async () => {
    await ensurePeers('server-5.5.0', `server-${version}`);
    site = await Site.open();
  });
  afterAll(() => site.close());

  const ways: { from: Kind; to: Kind }[] = [
    { from: version, to: 'ours' },
    { from: 'ours', to: version },
  ];
  describe.each(ways)('a store that goes from $from to $to', ({ from, to }) => {
    test('keeps open half messages, and settled ones stay settled', async () => {
      const store = `from-${from}-to-${to}`;
      const topic = store.replaceAll('.', '_');
      const first = await site.broker(from, store, NEVER);
      await leaveOpen(() => first.address, { topic, isMarkedLater: from === '5.5.0' });
      await first.stop();
      const second = await site.broker(to, store, QUICK);
      await finish(() => second.address, topic);
      await second.kill();
    });
  });
}

const SETTLED = ['committed', 'rolled back', 'committed too'];

async function leaveOpen(
  address: () => string,
  { topic, isMarkedLater }: { topic: string; isMarkedLater: boolean },
): Promise<void> {
  const producer = new TransactionClient(address);
  for (const body of SETTLED) {
    const outcome = body.startsWith('committed') ? COMMIT : ROLLBACK;
    expect((await producer.end(await producer.half(topic, body), outcome)).code).toBe(0);
  }
  await producer.half(topic, 'open');
  await producer.half(topic, 'open too');
  if (isMarkedLater) await waitFor('the marks', () => areMarked(producer), PATIENCE);
  producer.close();
}

async function finish(address: () => string, topic: string): Promise<void> {
  const producer = new TransactionClient(address);
  await producer.join();
  const bodies = () => producer.checks.map(({ record }) => record.body.toString());
  const isAsked = () => ['open', 'open too'].every((body) => bodies().includes(body));
  await waitFor('the open ones to be asked about', isAsked, PATIENCE);
  for (const body of ['open', 'open too']) {
    const check = producer.checks.find(({ record }) => record.body.toString() === body);
    expect(check?.record.topic).toBe(topic);
    if (check === undefined) continue;
    const outcome = body === 'open' ? COMMIT : ROLLBACK;
    const answer = await producer.end(check.ref, outcome, { fromTransactionCheck: true });
    expect(answer.code).toBe(0);
  }
  // Once: a message committed by its first check may have been asked about again meanwhile.
  expect(await producer.bodies(topic)).toEqual(['committed', 'committed too', 'open']);
  // This one lies behind all others: when it is asked about, whatever else was open was asked before.
  await producer.half(topic, 'last');
  await waitFor('the last one to be asked about', () => bodies().includes('last'), PATIENCE);
  expect(bodies().filter((body) => SETTLED.includes(body))).toEqual([]);
  expect((await producer.read(HALF_TOPIC)).length).toBeGreaterThan(6);
  producer.close();
}

/** 5.x marks settled ones some seconds later. */
async function areMarked(client: TransactionClient): Promise<boolean> {
  const ops = await client.bodies(OP_TOPIC);
  return ops.join('').split(',').filter(Boolean).length >= 3;
}
