// kill -9 of the controller before, during and after every step of a failover, then `dr resume` (and
// `dr abort` while nothing is promoted): one writing region, nothing lost that the standby had, and the
// dead region comes back deposed, follows again and holds the same bytes.
// Orders pause before each kill -9 of a region, so the promise is exact: nothing may be lost at all.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  FAILOVER_STEPS,
  type KillPoint,
  type KillRound,
  KillSite,
  MOMENTS,
  shortRounds,
} from '../support/regions/controller-kill.ts';
import type { RegionName } from '../support/regions/stage.ts';
import { IS_SHORT } from './round.ts';

const isBeforePromotion = ({ step, when }: KillPoint): boolean =>
  ['cut-off', 'halt', 'assess'].includes(step) || (step === 'promote' && when === 'before');

const everyRound: KillRound[] = FAILOVER_STEPS.flatMap((step) =>
  MOMENTS.flatMap((when): KillRound[] => {
    const resumed: KillRound = { step, when, rescue: 'resume' };
    return isBeforePromotion(resumed) ? [resumed, { ...resumed, rescue: 'abort' }] : [resumed];
  }),
);

let site: KillSite;

beforeAll(async () => {
  site = await KillSite.open('kill-failover', 15);
});
afterAll(() => site?.stage.close());

describe('kill -9 of the controller', () => {
  test.each(IS_SHORT ? shortRounds(FAILOVER_STEPS) : everyRound)(
    '$when $step, then $rescue',
    async ({ rescue, ...point }) => {
      const { stage, controller, flow, watch, active: from, standby: to } = site;
      flow.start();
      await flow.more(30);
      await flow.pause();
      await stage.level(to);
      await stage.kill(from);
      const words = ['failover', '--to', to, '--accept-data-loss'];
      const late = await controller.killAt(words, point, FAILOVER_STEPS);
      if (rescue === 'abort') await expectAborted(from);
      else await expectResumed();
      flow.start();
      for (const held of late) held.release();
      await flow.more(20);
      if (rescue === 'resume') await bringBack(from);
      await stage.ready(site.active, site.standby);
      await site.expectOneWriter();
      expect(watch.violations).toEqual([]);
    },
  );

  test('nothing was lost, doubled or reordered over all rounds', () => site.expectNothingLost());
});

/** Undone: the old region, once it runs again, is the one that writes, at its old epoch. */
async function expectAborted(from: RegionName): Promise<void> {
  const { stage, standby, epoch } = site;
  const run = await site.controller.run('abort');
  expect(run.status, `${run.stdout}\n${run.stderr}`).toBe(0);
  expect(await stage.statusNow(standby)).toMatchObject({
    role: 'standby',
    writeState: 'standby',
    epoch,
  });
  await stage.regions.startRegion(from);
  await site.expectOneWriter();
}

async function expectResumed(): Promise<void> {
  const run = await site.controller.run('resume');
  // 10: the kill came after the last record, nothing is left to do.
  expect([0, 10], `${run.status}\n${run.stdout}\n${run.stderr}`).toContain(run.status);
  site.noteSwitched();
  await site.expectOneWriter();
}

/** The dead region comes back, is deposed, and follows when the operator says so. */
async function bringBack(name: RegionName): Promise<void> {
  const { stage } = site;
  await stage.regions.startRegion(name);
  await stage.until(name, 'deposed', (status) => status.writeState === 'deposed');
  const run = await stage.dr(name, 'rejoin', '--yes');
  expect(run.status, `${run.stdout}\n${run.stderr}`).toBe(0);
  await stage.until(name, 'following', (status) => status.link?.state === 'following');
}
