// kill -9 of a SYNC_FLUSH broker under load, again and again on one store: every acknowledged order is
// there after each restart, once, in order; so is every batch; nothing is there that nobody sent; queue
// offsets have no holes. In the end what was delayed has been delivered and no transaction is open.
// What a kill may double: delayed messages (their level's offset is written now and then, as by Apache)
// and transactions (the mark of a delivered one may be lost with the kill). Counted and printed.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { waitFor } from '../../cli/demo/process.ts';
import { MixedFlow, type MixedVerdict } from '../support/regions/mixed-flow.ts';
import { judgeLog, OrderFlow } from '../support/regions/order-flow.ts';
import { PATIENT_MS, Stage } from '../support/regions/stage.ts';
import { KILLS } from './round.ts';

/** Of one kill, on a machine that does other things too. */
const ROUND_MS = 30_000;
let stage: Stage;
let flow: OrderFlow;
let mixed: MixedFlow;

beforeAll(async () => {
  // Small files: kills also meet the roll from one file to the next.
  stage = await Stage.open('sync-flush', {
    flushDiskType: 'SYNC_FLUSH',
    mappedFileSizeCommitLog: 256 * 1024,
    brokerLines: [
      'autoCreateTopicEnable=true',
      'transactionTimeOut=1000',
      'transactionCheckInterval=500',
      'transactionCheckMax=1000',
    ],
  });
  const { nameserver, broker } = stage.files('east');
  flow = stage.onClose(new OrderFlow({ nameserver, lanes: 16, everyMs: 1 }), (each) => each.stop());
  mixed = stage.onClose(new MixedFlow(broker), (each) => each.stop());
  flow.start();
  mixed.start();
});
afterAll(() => stage?.close());

const pauseAll = () => Promise.all([flow.pause(), mixed.pause()]);

/** Batches are owed at once; the others when they are due. */
function expectSound(verdict: MixedVerdict, round: string): void {
  const missing = verdict.missing.filter((key) => key.startsWith('batch'));
  expect({ ...verdict, missing }, round).toMatchObject({
    missing: [],
    phantoms: [],
    notDense: [],
    duplicates: { batch: 0 },
  });
}

const TIMEOUT_MS = 2 * PATIENT_MS + KILLS * ROUND_MS;

test(`${KILLS} kills lose nothing that was acknowledged`, { timeout: TIMEOUT_MS }, async () => {
  for (let round = 1; round <= KILLS; round++) {
    await flow.more(100 + (round % 7) * 10);
    await stage.kill('east');
    await stage.regions.startRegion('east');
    await stage.ready('east');
    await flow.more(20);
    await pauseAll();
    const verdict = await judgeLog(flow, stage.files('east').nameserver);
    expect(verdict, `round ${round}`).toMatchObject({
      lost: 0,
      duplicatedByBroker: 0,
      outOfOrder: 0,
    });
    expectSound(await mixed.verdict(), `round ${round}`);
    if (round % 20 === 0) console.info(`${round} kills, nothing lost`);
    flow.start();
    mixed.start();
  }
  await pauseAll();
  const settled = await waitFor(
    'everything to be delivered and every transaction to be settled',
    async () => {
      const verdict = await mixed.verdict();
      const isDone = verdict.missing.length === 0 && (await mixed.unsettled()) === 0;
      return isDone ? verdict : undefined;
    },
    { timeoutMs: PATIENT_MS },
  ).catch(async (reason: Error) => {
    const verdict = JSON.stringify(await mixed.verdict());
    throw new Error(`${reason.message}: ${verdict}, open ${await mixed.unsettled()}`);
  });
  expectSound(settled, 'settled');
  // The index knows what was delivered, so a timer message never comes twice.
  expect(settled.duplicates.timer).toBe(0);
  for (const count of Object.values(settled.acknowledged)) expect(count).toBeGreaterThan(0);
  const { acknowledged, duplicates } = settled;
  console.info('acknowledged', acknowledged, 'copies beyond the first', duplicates);
  // The standby saw bytes that the kill may have taken back; it holds the same log in the end.
  expect(stage.sameLog(await stage.level('west'))).toBe(true);
});
