// Patterns, missed runs, and a scheduler that makes one run of many ticks.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  backupConfigSchema,
  checkPattern,
  createScheduler,
  type JobQueue,
  jobId,
  lastDue,
  openSqliteJobs,
  type Plan,
  scheduleBackups,
} from '../../../backup/index.ts';
import { initBackup } from '../../support/backup/init-backup.ts';
import { buildStore } from '../../support/backup/log-builder.ts';
import { until } from '../../support/backup/until.ts';

const plan = (cron: string, name = 'nightly'): Plan => ({
  name,
  cron,
  timezone: 'UTC',
  attemptsMax: 1,
  retryDelayMs: 0,
  payload: {},
});

describe('a pattern', () => {
  test.each(['0 3 * * *', '*/5 * * * *', '0 0 1 * *', '30 2 * * 1-5', '0 0 3 * * *'])(
    '%s is taken',
    (cron) => expect(checkPattern(cron)).toBe(cron),
  );
  test.each(['0 3 1 * 1', '0 0 3 1 * 1', '61 * * * *', 'nonsense', ''])('%j is refused', (cron) => {
    expect(() => checkPattern(cron)).toThrowError(/schedule/);
  });
});

describe('the last due run', () => {
  const at = (text: string) => Date.parse(text);
  test('is the newest moment between the last run and now', () => {
    const bounds = { afterMs: at('2026-11-17T03:00:00Z'), nowMs: at('2026-11-20T10:11:12Z') };
    expect(lastDue(plan('0 3 * * *'), bounds)).toBe(at('2026-11-20T03:00:00Z'));
  });
  test('is none when nothing was missed', () => {
    const bounds = { afterMs: at('2026-11-20T03:00:00Z'), nowMs: at('2026-11-21T02:59:59Z') };
    expect(lastDue(plan('0 3 * * *'), bounds)).toBeUndefined();
  });
});

describe('a scheduler', () => {
  let folder: string;
  let queue: JobQueue;
  beforeEach(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-schedule-'));
    queue = openSqliteJobs({ file: path.join(folder, 'jobs.db') });
  });
  afterEach(async () => {
    await queue.close();
    fs.rmSync(folder, { recursive: true, force: true });
  });
  const options = (plans: Plan[], run: () => Promise<unknown>) => ({
    plans,
    queue,
    run,
    onDeath: (reason: Error) => {
      throw reason;
    },
    pollMs: 20,
  });

  test('sees at boot that a run was missed, and makes it once', async () => {
    const yesterday = Date.now() - 26 * 3_600_000;
    const known = { ...plan('0 * * * *'), id: jobId('nightly', yesterday) };
    await queue.enqueue({ ...known, plan: 'nightly', scheduledAtMs: yesterday });
    await queue.complete((await queue.claim('earlier'))!, {});
    let runs = 0;
    const make = () => createScheduler(options([plan('0 * * * *')], async () => ++runs));
    const scheduler = make();
    await scheduler.start();
    await until(async () => (await queue.list())[0]?.state === 'done');
    await scheduler.stop();
    const again = make();
    await again.start();
    await again.stop();
    expect(runs).toBe(1);
    const [made] = await queue.list();
    expect(made?.scheduledAtMs).toBe(Math.floor(Date.now() / 3_600_000) * 3_600_000);
  });

  test('a plan that never ran has missed nothing', async () => {
    const scheduler = createScheduler(options([plan('0 3 * * *')], async () => 1));
    await scheduler.start();
    expect(scheduler.nextRuns()[0]?.nextRunMs).toBeGreaterThan(Date.now());
    await scheduler.stop();
    expect(await queue.list()).toEqual([]);
  });

  test('two of them make one run of each tick', async () => {
    let runs = 0;
    const both = [1, 2].map(() =>
      createScheduler(options([plan('* * * * * *')], async () => ++runs)),
    );
    for (const scheduler of both) await scheduler.start();
    await until(async () => (await queue.list()).filter((job) => job.state === 'done').length >= 2);
    for (const scheduler of both) await scheduler.stop();
    const jobs = await queue.list();
    expect(new Set(jobs.map((job) => job.id)).size).toBe(jobs.length);
    expect(runs).toBe(jobs.filter((job) => job.attempts > 0).length);
  });

  test('records why a run failed', async () => {
    const fails = async () => {
      throw new Error('target gone');
    };
    const scheduler = createScheduler(options([plan('* * * * * *')], fails));
    await scheduler.start();
    await until(async () => (await queue.list()).some((job) => job.state === 'failed'));
    await scheduler.stop();
    const failed = (await queue.list()).find((job) => job.state === 'failed');
    expect(failed?.error).toContain('target gone');
  });

  test('makes real backups on its own', async () => {
    const root = path.join(folder, 'store');
    buildStore(root, 40, { fileBytes: 64 * 1024 });
    const config = backupConfigSchema.parse({
      repository: { kind: 'file', path: path.join(folder, 'repository') },
      schedule: { cron: '* * * * * *' },
    });
    const backup = await initBackup({ config });
    const onDeath = (reason: Error) => {
      throw reason;
    };
    const scheduler = scheduleBackups({ config, queue, rootDir: root, onDeath });
    await scheduler.start();
    await until(async () => (await queue.list()).some((job) => job.state === 'done'));
    await scheduler.stop();
    expect((await backup.list())[0]?.state).toBe('ok');
  });
});
