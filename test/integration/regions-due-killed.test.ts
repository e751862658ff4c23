// The same as regions-due.test.ts with kill -9 of the active region and a failover: nothing that was copied
// is missing. A delayed message may come twice when its delivery was copied and the offset behind it was
// not: at most what one metadata period (1 s) delivered. Timers are found in the log by their keys.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { COUNTS } from '../support/regions/due-messages.ts';
import { type DueStage, openDueStage } from '../support/regions/due-stage.ts';

let open: DueStage;
beforeAll(async () => {
  open = await openDueStage('regions-due-killed');
});
afterAll(() => open?.stage.close());

test('kill -9 and a failover in the middle: nothing is missing', async () => {
  const { stage, arrived, everythingArrived, found } = open;
  await stage.level('west');
  await arrived('TIMED', 20);
  await stage.kill('east');
  const words = ['failover', '--to', 'west', '--accept-data-loss'];
  const run = await stage.dr('west', ...words);
  expect([0, 3], `${run.stdout}\n${run.stderr}`).toContain(run.status);
  await everythingArrived();
  expect(await found('TIMED', 'timer', COUNTS.timers)).toEqual({ missing: [], twice: 0 });
  expect(await found('SETTLED', 'half', COUNTS.halves)).toMatchObject({ missing: [] });
  const delayed = await found('DELAYED', 'delayed', COUNTS.delayed);
  expect(delayed.missing).toEqual([]);
  // 50 of a level come due within the time it took to send them.
  expect(delayed.twice).toBeLessThanOrEqual(100);
});
