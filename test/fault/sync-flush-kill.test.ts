// kill -9 of a SYNC_FLUSH broker under load, again and again on one store: every acknowledged order is
// there after each restart, once, in order.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { judgeLog, OrderFlow } from '../support/regions/order-flow.ts';
import { Stage } from '../support/regions/stage.ts';
import { IS_SHORT } from './round.ts';

const ROUNDS = IS_SHORT ? 3 : 200;
let stage: Stage;
let flow: OrderFlow;

beforeAll(async () => {
  // Small files: kills also meet the roll from one file to the next.
  stage = await Stage.open('sync-flush', {
    flushDiskType: 'SYNC_FLUSH',
    mappedFileSizeCommitLog: 256 * 1024,
  });
  flow = stage.onClose(
    new OrderFlow({ nameserver: stage.files('east').nameserver, lanes: 16, everyMs: 1 }),
    (each) => each.stop(),
  );
  flow.start();
});
afterAll(() => stage?.close());

test(`${ROUNDS} kills lose no acknowledged order`, async () => {
  for (let round = 1; round <= ROUNDS; round++) {
    await flow.more(100 + (round % 7) * 10);
    await stage.kill('east');
    await stage.regions.startRegion('east');
    await stage.ready('east');
    await flow.more(20);
    await flow.pause();
    const verdict = await judgeLog(flow, stage.files('east').nameserver);
    expect(verdict, `round ${round}`).toMatchObject({
      lost: 0,
      duplicatedByBroker: 0,
      outOfOrder: 0,
    });
    flow.start();
  }
  await flow.pause();
  // The standby saw bytes that the kill may have taken back; it holds the same log in the end.
  expect(stage.sameLog(await stage.level('west'))).toBe(true);
});
