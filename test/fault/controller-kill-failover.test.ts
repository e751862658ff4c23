// kill -9 of the controller before, during and after every step of a failover, then `dr resume` (and
// `dr abort` while nothing is promoted): one writing region, nothing lost that the standby had, and the
// dead region comes back deposed, follows again and holds the same bytes.
// Orders pause before each kill -9 of a region, so the promise is exact: nothing may be lost at all.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  expectOneWriter,
  FAILOVER_STEPS,
  type KillPoint,
  type Moment,
  TappedController,
  WriterWatch,
} from '../support/regions/controller-kill.ts';
import { judgeLog, OrderFlow } from '../support/regions/order-flow.ts';
import { OTHER, type RegionName, Stage } from '../support/regions/stage.ts';
import { IS_SHORT } from './round.ts';

const MOMENTS: Moment[] = ['before', 'during', 'after'];
const isBeforePromotion = ({ step, when }: KillPoint): boolean =>
  ['cut-off', 'halt', 'assess'].includes(step) || (step === 'promote' && when === 'before');

interface Round extends KillPoint {
  rescue: 'resume' | 'abort';
}

const everyRound: Round[] = FAILOVER_STEPS.flatMap((step) =>
  MOMENTS.flatMap((when): Round[] => {
    const point = { step, when };
    const resumed: Round = { ...point, rescue: 'resume' };
    return isBeforePromotion(point) ? [resumed, { ...point, rescue: 'abort' }] : [resumed];
  }),
);
const shortRounds: Round[] = [
  ...FAILOVER_STEPS.map((step, index): Round => {
    const when = step === 'promote' ? 'during' : (MOMENTS[index % 3] as Moment);
    return { step, when, rescue: 'resume' };
  }),
  { step: 'promote', when: 'before', rescue: 'abort' },
];

let stage: Stage;
let controller: TappedController;
let flow: OrderFlow;
let watch: WriterWatch;
let active: RegionName = 'east';
let epoch = 1;

beforeAll(async () => {
  stage = await Stage.open('kill-failover');
  controller = await TappedController.open(stage);
  flow = stage.onClose(
    new OrderFlow({ nameserver: stage.regions.globalNameserver, everyMs: 15 }),
    (each) => each.stop(),
  );
  watch = new WriterWatch(stage);
});
afterAll(() => stage?.close());

describe('kill -9 of the controller', () => {
  test.each(IS_SHORT ? shortRounds : everyRound)(
    '$when $step, then $rescue',
    async ({ rescue, ...point }) => {
      const [from, to] = [active, OTHER[active]];
      flow.start();
      await flow.more(30);
      await flow.pause();
      await stage.level(to);
      await stage.kill(from);
      const words = ['failover', '--to', to, '--accept-data-loss'];
      const late = await controller.killAt(words, point, FAILOVER_STEPS);
      if (rescue === 'abort') await expectAborted(from);
      else await expectResumed(to);
      flow.start();
      for (const held of late) held.release();
      await flow.more(20);
      if (rescue === 'resume') await bringBack(from);
      await stage.ready(active, OTHER[active]);
      await expectOneWriter(stage, { active, epoch });
      expect(watch.violations).toEqual([]);
    },
  );

  test('nothing was lost, doubled or reordered over all rounds', async () => {
    await flow.pause();
    const end = await stage.level(OTHER[active]);
    expect(stage.sameLog(end)).toBe(true);
    const verdict = await judgeLog(flow, stage.files(active).nameserver);
    expect(verdict).toMatchObject({ lost: 0, duplicatedByBroker: 0, outOfOrder: 0 });
    expect(verdict.acknowledged).toBeGreaterThan(200);
  });
});

/** Undone: the old region, once it runs again, is the one that writes, at its old epoch. */
async function expectAborted(from: RegionName): Promise<void> {
  const run = await controller.run('abort');
  expect(run.status, `${run.stdout}\n${run.stderr}`).toBe(0);
  const standby = await stage.statusNow(OTHER[from]);
  expect(standby).toMatchObject({ role: 'standby', writeState: 'standby', epoch });
  await stage.regions.startRegion(from);
  await expectOneWriter(stage, { active, epoch });
}

async function expectResumed(to: RegionName): Promise<void> {
  const run = await controller.run('resume');
  // 10: the kill came after the last record, nothing is left to do.
  expect([0, 10], `${run.status}\n${run.stdout}\n${run.stderr}`).toContain(run.status);
  [active, epoch] = [to, epoch + 1];
  await expectOneWriter(stage, { active, epoch });
}

/** The dead region comes back, is deposed, and follows when the operator says so. */
async function bringBack(name: RegionName): Promise<void> {
  await stage.regions.startRegion(name);
  await stage.until(name, 'deposed', (status) => status.writeState === 'deposed');
  const run = await stage.dr(name, 'rejoin', '--yes');
  expect(run.status, `${run.stdout}\n${run.stderr}`).toBe(0);
  await stage.until(name, 'following', (status) => status.link?.state === 'following');
}
