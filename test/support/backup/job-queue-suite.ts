// The contract of the job queue: every adapter passes the same tests.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type JobQueue, jobId, type NewJob } from '../../../backup/index.ts';
import { until } from './until.ts';

export interface JobQueueFixture {
  /** Opens one more door to the same empty queue. */
  open(leaseMs: number): Promise<JobQueue>;
  end(): Promise<void>;
}

const AT = Date.UTC(2026, 10, 20, 3, 0, 0);
const job = (plan: string, more: Partial<NewJob> = {}): NewJob => ({
  id: jobId(plan, more.scheduledAtMs ?? AT),
  plan,
  scheduledAtMs: AT,
  payload: { rootDir: '/store' },
  attemptsMax: 2,
  retryDelayMs: 0,
  ...more,
});

export function jobQueueSuite(name: string, create: () => Promise<JobQueueFixture>): void {
  describe(`the ${name} job queue`, () => {
    let fixture: JobQueueFixture;
    let queue: JobQueue;
    beforeEach(async () => {
      fixture = await create();
      queue = await fixture.open(60_000);
    });
    afterEach(async () => {
      await queue.close();
      await fixture.end();
    });

    test('takes an id once, even after it was done', async () => {
      expect(job('nightly').id).toBe('nightly@2026-11-20T0300Z');
      expect(await queue.enqueue(job('nightly'))).toBe('added');
      expect(await queue.enqueue(job('nightly'))).toBe('exists');
      const claim = await queue.claim('w');
      await queue.complete(claim!, { bytes: 7 });
      expect(await queue.enqueue(job('nightly'))).toBe('exists');
      const [kept] = await queue.list();
      expect(kept).toMatchObject({ state: 'done', result: { bytes: 7 }, attempts: 1 });
    });

    test('of two doors that enqueue at once one adds', async () => {
      const other = await fixture.open(60_000);
      const answers = await Promise.all([queue.enqueue(job('p')), other.enqueue(job('p'))]);
      expect(answers.sort()).toEqual(['added', 'exists']);
      await other.close();
    });

    test('gives a job to one worker only', async () => {
      const other = await fixture.open(60_000);
      await queue.enqueue(job('p'));
      const claims = await Promise.all([queue.claim('a'), other.claim('b')]);
      expect(claims.filter(Boolean)).toHaveLength(1);
      expect(await queue.claim('a')).toBeUndefined();
      await other.close();
    });

    test('lets a failed job be tried again, up to its attempts', async () => {
      await queue.enqueue(job('p'));
      const first = await queue.claim('w');
      expect(await queue.fail(first!, 'target gone')).toBe('waiting');
      expect((await queue.list())[0]).toMatchObject({ state: 'waiting', error: 'target gone' });
      const second = await claimSoon(queue);
      expect(second.job).toMatchObject({ attempts: 2, payload: { rootDir: '/store' } });
      expect(await queue.fail(second, 'still gone')).toBe('failed');
      expect(await queue.claim('w')).toBeUndefined();
      expect((await queue.list())[0]).toMatchObject({ state: 'failed', error: 'still gone' });
    });

    test('takes a job back without counting the try, and gives it out again at once', async () => {
      await queue.enqueue(job('p', { attemptsMax: 1, retryDelayMs: 3_600_000 }));
      for (let round = 0; round < 3; round++) {
        const claim = await claimSoon(queue);
        expect(claim.job.attempts).toBe(1);
        await queue.release(claim);
        await expect(queue.complete(claim, {})).rejects.toMatchObject({ code: 'LOCKED' });
        expect((await queue.list())[0]).toMatchObject({ state: 'waiting', attempts: 0 });
      }
      await queue.complete(await claimSoon(queue), { done: true });
      expect((await queue.list())[0]).toMatchObject({ state: 'done', attempts: 1 });
    });

    test('does not give a job out before its retry delay', async () => {
      await queue.enqueue(job('p', { retryDelayMs: 3_600_000 }));
      const first = await queue.claim('w');
      await queue.fail(first!, 'x');
      expect(await queue.claim('w')).toBeUndefined();
    });

    test('frees the job of a dead worker, who can change nothing afterwards', async () => {
      const dead = await fixture.open(200);
      await dead.enqueue(job('p'));
      const lost = await dead.claim('dead');
      const taken = await claimSoon(dead);
      expect(taken.job.attempts).toBe(2);
      await expect(dead.complete(lost!, {})).rejects.toMatchObject({ code: 'LOCKED' });
      await expect(dead.heartbeat(lost!)).rejects.toMatchObject({ code: 'LOCKED' });
      await dead.complete(taken, { by: 'second' });
      expect((await dead.list())[0]).toMatchObject({ state: 'done', result: { by: 'second' } });
      await dead.close();
    });

    test('fails a job whose every worker died', async () => {
      const dead = await fixture.open(200);
      await dead.enqueue(job('p', { attemptsMax: 1 }));
      expect(await dead.claim('dead')).toBeDefined();
      await until(async () => {
        expect(await dead.claim('other')).toBeUndefined();
        return (await dead.list())[0]?.state === 'failed';
      });
      await dead.close();
    });

    test('keeps a job whose lease is renewed', async () => {
      const live = await fixture.open(400);
      await live.enqueue(job('p'));
      const claim = await live.claim('w');
      const end = Date.now() + 1_200;
      await until(async () => {
        await live.heartbeat(claim!);
        expect(await live.claim('thief')).toBeUndefined();
        return Date.now() > end;
      });
      await live.complete(claim!, {});
      await live.close();
    });

    test('lists newest first, by plan', async () => {
      for (const hours of [0, 1, 2]) {
        await queue.enqueue(job('a', { scheduledAtMs: AT + hours * 3_600_000 }));
      }
      await queue.enqueue(job('b'));
      const ids = (await queue.list({ plan: 'a', limit: 2 })).map((entry) => entry.id);
      expect(ids).toEqual(['a@2026-11-20T0500Z', 'a@2026-11-20T0400Z']);
      expect(await queue.list()).toHaveLength(4);
    });

    test('refuses an id with a colon', async () => {
      await expect(queue.enqueue(job('p', { id: 'p@03:00' }))).rejects.toMatchObject({
        code: 'USAGE',
      });
    });
  });
}

async function claimSoon(queue: JobQueue) {
  let claim = await queue.claim('next');
  await until(async () => {
    claim ??= await queue.claim('next');
    return claim !== undefined;
  });
  return claim!;
}
