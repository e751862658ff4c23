// Scheduled backups run in a process of their own: low priority, gone with the daemon, and a daemon that
// stops in the middle of one has neither lost nor failed it.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  type BackupConfig,
  backupConfigSchema,
  createBackup,
  type JobQueue,
  jobId,
  openSqliteJobs,
  scheduleBackups,
} from '../../backup/index.ts';
import { DrError } from '../../core-broker/base/index.ts';
import { buildStore } from '../support/backup/log-builder.ts';
import { until } from '../support/backup/until.ts';

let folder: string;
let root: string;
let queue: JobQueue;
let config: BackupConfig;
const AT = Date.UTC(2026, 10, 20, 3, 0, 0);

beforeEach(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-backup-process-'));
  root = path.join(folder, 'store');
  buildStore(root, 4_000, { fileBytes: 256 * 1024 });
  queue = openSqliteJobs({ file: path.join(folder, 'jobs.db') });
  config = configOf({});
  const backup = await createBackup({ config });
  await backup.init();
  backup.close();
  await queue.enqueue({
    id: jobId('backup', AT),
    plan: 'backup',
    scheduledAtMs: AT,
    payload: {},
    attemptsMax: 1,
    retryDelayMs: 0,
  });
});
afterEach(async () => {
  await queue.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

const configOf = (more: object): BackupConfig =>
  backupConfigSchema.parse({
    repository: { kind: 'file', path: path.join(folder, 'repository') },
    storeId: 'shop',
    workers: 1,
    schedule: { cron: '0 3 1 1 *' },
    ...more,
  });
const jobOf = async () => (await queue.list()).find((job) => job.scheduledAtMs === AT);
const isGone = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch (reason) {
    return DrError.from(reason) instanceof DrError;
  }
};
const onDeath = (reason: DrError) => {
  throw reason;
};

/** Slow enough to be caught in the middle: the target takes a few KB a second. */
const slow = () => configOf({ bytesPerSecondMax: 8_192 });

test('a run has a process of low priority, whose answer becomes the result of the job', async () => {
  const pids: number[] = [];
  const priorities: number[] = [];
  const scheduler = scheduleBackups({
    config,
    queue,
    rootDir: root,
    onDeath,
    onStart: (pid) => pids.push(pid),
  });
  await scheduler.start();
  await until(async () => {
    if (pids[0] !== undefined && !isGone(pids[0])) priorities.push(os.getPriority(pids[0]));
    return (await jobOf())?.state === 'done';
  });
  await scheduler.stop();
  expect(pids[0]).not.toBe(process.pid);
  expect(Math.max(...priorities)).toBe(10);
  expect((await jobOf())?.result).toMatchObject({ isComplete: true, records: 4_000, deleted: [] });
});

test('a daemon that stops in the middle ends the process and gives the job back', async () => {
  let pid = 0;
  const start = (settings: BackupConfig) =>
    scheduleBackups({
      config: settings,
      queue,
      rootDir: root,
      onDeath,
      onStart: (started) => {
        pid = started;
      },
    });
  const scheduler = start(slow());
  await scheduler.start();
  await until(() => fs.existsSync(path.join(root, 'drSnapshot')));
  await scheduler.stop();
  expect(isGone(pid)).toBe(true);
  expect(fs.existsSync(path.join(root, 'drSnapshot'))).toBe(false);
  expect(await jobOf()).toMatchObject({ state: 'waiting', attempts: 0, error: undefined });
  const again = start(config);
  await again.start();
  await until(async () => (await jobOf())?.state === 'done');
  await again.stop();
  expect(await jobOf()).toMatchObject({ attempts: 1 });
});

test('a daemon that is killed takes the process with it', async () => {
  const request = JSON.stringify({ config: configOf({ bytesPerSecondMax: 1_024 }), rootDir: root });
  const program = path.resolve('test/support/backup/child-host.ts');
  const host = spawn(process.execPath, [program, request], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  host.stdout.on('data', (bytes: Buffer) => {
    text += bytes.toString();
  });
  await until(() => text.includes('\n') && fs.existsSync(path.join(root, 'drSnapshot')));
  const pid = Number(text.trim());
  expect(isGone(pid)).toBe(false);
  host.kill('SIGKILL');
  await until(() => isGone(pid));
});

test('damage in the store fails the job, names the place and deletes nothing', async () => {
  const file = path.join(root, 'commitlog', '0'.repeat(20));
  const bytes = fs.readFileSync(file);
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  fs.writeFileSync(file, bytes);
  const scheduler = scheduleBackups({ config, queue, rootDir: root, onDeath });
  await scheduler.start();
  await until(async () => (await jobOf())?.state === 'failed');
  await scheduler.stop();
  expect((await jobOf())?.error).toContain(`VERIFY_FAILED`);
  expect((await jobOf())?.error).toContain(`${'0'.repeat(20)}:0`);
});
