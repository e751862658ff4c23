// Backups and restores that are killed, that run out of disk, whose target vanishes, whose bytes rot.
// Invariant under test: there is no manifest, or there is a valid one; nothing half-written is restored.
import { execFileSync, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  type Backup,
  backupConfigSchema,
  type ObjectStore,
  openFileStore,
} from '../../backup/index.ts';
import { DrError } from '../../core-broker/base/index.ts';
import { initBackup } from '../support/backup/init-backup.ts';
import { appendOrder, buildStore, type LogBuilder } from '../support/backup/log-builder.ts';

const FILE_BYTES = 1024 * 1024;
const CHILD = path.resolve('test/support/backup/child-backup.ts');
let folder: string;
let store: LogBuilder;
const repository = () => path.join(folder, 'repository');
const target = () => path.join(folder, 'restored');
const settings = (more: object = {}) => ({
  repository: { kind: 'file', path: repository() },
  storeId: 'shop',
  workers: 2,
  ...more,
});
const open = (objectStore?: ObjectStore): Promise<Backup> =>
  initBackup({
    config: backupConfigSchema.parse(settings()),
    ...(objectStore ? { objectStore } : {}),
  });

beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-backup-crash-'));
  store = buildStore(path.join(folder, 'store'), 12_000, { fileBytes: FILE_BYTES });
});
afterEach(() => fs.rmSync(folder, { recursive: true, force: true }));

const filesBelow = (root: string): string[] =>
  fs
    .readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name));

function sameLog(left: string, right: string): void {
  const names = fs.readdirSync(path.join(left, 'commitlog'));
  expect(fs.readdirSync(path.join(right, 'commitlog'))).toEqual(names);
  for (const name of names) {
    const [a, b] = [left, right].map((root) => fs.readFileSync(path.join(root, 'commitlog', name)));
    expect(a?.equals(b as Buffer), name).toBe(true);
  }
}

/** Runs a child and kills it at a random moment; false when it was faster. */
async function killed(args: string[], afterMs: number): Promise<boolean> {
  const child = spawn(process.execPath, [CHILD, ...args], { stdio: 'ignore' });
  const timer = setTimeout(() => child.kill('SIGKILL'), afterMs);
  const code = await new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
  clearTimeout(timer);
  return code === 'SIGKILL';
}

/** How long an undisturbed child takes, start included. */
function timeOf(args: string[]): number {
  const start = performance.now();
  execFileSync(process.execPath, [CHILD, ...args]);
  return performance.now() - start;
}

describe('kill -9 of a backup', () => {
  test('at any moment leaves no manifest or a valid one, and the next run succeeds', async () => {
    const whole = timeOf(['run', JSON.stringify(settings()), store.root]);
    const backup = await open();
    let kills = 0;
    for (let round = 0; round < 4; round++) {
      fs.rmSync(repository(), { recursive: true });
      const afterMs = whole * (0.3 + Math.random() * 0.7);
      if (await killed(['run', JSON.stringify(settings()), store.root], afterMs)) kills += 1;
      const fresh = await open();
      const listed = fs.existsSync(path.join(repository(), 'repository.json'))
        ? await fresh.list()
        : [];
      for (const entry of listed) {
        const proof = await fresh.verify({ id: entry.id, depth: 'restored' });
        expect(proof.problems).toEqual([]);
      }
      const made = await fresh.run({ rootDir: store.root });
      expect((await fresh.verify({ id: made.id, depth: 'hashed' })).code).toBeUndefined();
      expect(fs.readdirSync(store.root)).not.toContain('drSnapshot');
    }
    expect(kills).toBeGreaterThan(0);
    backup.close();
  });
});

describe('kill -9 of a restore', () => {
  test('leaves nothing a broker could boot from; going on equals an undisturbed one', async () => {
    const backup = await open();
    const made = await backup.run({ rootDir: store.root });
    const args = (to: string) => ['restore', JSON.stringify(settings()), made.id, to];
    const straight = path.join(folder, 'straight');
    const whole = timeOf(args(straight));
    let kills = 0;
    for (let round = 0; round < 4; round++) {
      fs.rmSync(target(), { recursive: true, force: true });
      if (await killed(args(target()), whole * (0.4 + Math.random() * 0.6))) {
        kills += 1;
        const names = fs.existsSync(target()) ? fs.readdirSync(target()) : [];
        // The log moves last: while the work goes on, a folder without it is no store.
        if (names.includes('commitlog')) expect(names).toContain('abort');
        // Killed behind its last step, it has left a whole store, which no restore touches again.
        const isUnfinished = fs.existsSync(path.join(target(), 'restoring', 'plan.json'));
        if (isUnfinished || !names.includes('commitlog')) {
          await backup.restore({ id: made.id, target: target() });
        }
      }
      sameLog(straight, target());
      const [left, right] = [straight, target()].map((root) =>
        filesBelow(root)
          .map((file) => path.relative(root, file))
          .sort(),
      );
      expect(right).toEqual(left);
    }
    expect(kills).toBeGreaterThan(0);
  });

  test('goes on only with the same backup and cut', async () => {
    const backup = await open(failing(0));
    const made = await backup.run({ rootDir: store.root });
    const broken = await open(failing(3));
    await expect(broken.restore({ id: made.id, target: target() })).rejects.toThrowError();
    expect(fs.readdirSync(target())).toEqual(['restoring']);
    const cut = { toOffset: FILE_BYTES };
    await expect(backup.restore({ id: made.id, target: target(), cut })).rejects.toMatchObject({
      code: 'REFUSED',
    });
    const result = await backup.restore({ id: made.id, target: target() });
    expect(result.isResumed).toBe(true);
    sameLog(store.root, target());
  });
});

/** The real store, whose gets of segments fail after `gets` of them (0 = never). */
function failing(gets: number): ObjectStore {
  const inner = openFileStore({ root: repository() });
  let left = gets;
  return Object.assign(Object.create(inner) as ObjectStore, bound(inner), {
    get: async (...call: Parameters<ObjectStore['get']>) => {
      if (gets > 0 && call[0].startsWith('segments/') && left-- <= 0) {
        throw new DrError('UNREACHABLE', 'target gone', { retry: 'never' });
      }
      return inner.get(...call);
    },
  });
}

function bound(inner: ObjectStore): ObjectStore {
  return {
    where: inner.where,
    prepare: () => inner.prepare(),
    put: (...call) => inner.put(...call),
    putLarge: (...call) => inner.putLarge(...call),
    get: (...call) => inner.get(...call),
    head: (...call) => inner.head(...call),
    list: (...call) => inner.list(...call),
    delete: (...call) => inner.delete(...call),
    sweep: () => inner.sweep(),
    close: () => inner.close(),
  };
}

/** The real store, on which every put after `puts` of them fails with `reason`. */
function fillingUp(puts: number, reason: () => Error): ObjectStore {
  const inner = openFileStore({ root: repository() });
  let left = puts;
  const guard = async <T>(action: () => Promise<T>): Promise<T> => {
    if (left-- <= 0) throw reason();
    return action();
  };
  return {
    ...bound(inner),
    put: (...call) => guard(() => inner.put(...call)),
    putLarge: (...call) => guard(() => inner.putLarge(...call)),
  };
}

describe('a target', () => {
  test('that is full at any put: an error, no manifest, earlier backups stay good', async () => {
    const backup = await open();
    const good = await backup.run({ rootDir: store.root });
    for (let i = 12_000; i < 16_000; i++) appendOrder(store, i);
    const full = () => Object.assign(new Error('no space'), { code: 'ENOSPC' });
    for (let puts = 0; ; puts++) {
      const filling = await open(fillingUp(puts, full));
      const outcome = await filling.run({ rootDir: store.root }).catch((reason: unknown) => reason);
      if (!(outcome instanceof Error)) break;
      expect(outcome).toMatchObject({ code: 'DISK_FULL' });
      expect((await backup.list()).map((entry) => [entry.id, entry.state])).toEqual([
        [good.id, 'ok'],
      ]);
    }
    expect((await backup.verify({ id: good.id, depth: 'hashed' })).code).toBeUndefined();
    expect(await backup.list()).toHaveLength(2);
  });

  test('that is really full (a small tmpfs, when we may mount one) is DISK_FULL', async () => {
    const mount = path.join(folder, 'small');
    fs.mkdirSync(mount);
    const isMounted = tryMount(mount);
    const place = isMounted ? path.join(mount, 'repository') : '/dev/full';
    try {
      const config = backupConfigSchema.parse(
        settings({ repository: { kind: 'file', path: place } }),
      );
      if (!isMounted) {
        await expect(initBackup({ config })).rejects.toBeInstanceOf(DrError);
        return;
      }
      const backup = await initBackup({ config });
      await expect(backup.run({ rootDir: store.root })).rejects.toMatchObject({
        code: 'DISK_FULL',
      });
      expect(await backup.list()).toEqual([]);
      expect(filesBelow(mount).filter((name) => name.includes('.tmp'))).toEqual([]);
    } finally {
      if (isMounted) execFileSync('umount', [mount]);
    }
  }, 120_000);

  test('that vanishes during the run: UNREACHABLE, and it is not made again', async () => {
    const inner = openFileStore({ root: repository() });
    let puts = 0;
    const vanishing: ObjectStore = {
      ...bound(inner),
      putLarge: (...call) => {
        if (++puts === 4) fs.renameSync(repository(), `${repository()}-gone`);
        return inner.putLarge(...call);
      },
    };
    const backup = await open(vanishing);
    await expect(backup.run({ rootDir: store.root })).rejects.toMatchObject({
      code: 'UNREACHABLE',
    });
    expect(fs.existsSync(repository())).toBe(false);
    fs.renameSync(`${repository()}-gone`, repository());
    expect(await (await open()).list()).toEqual([]);
  });
});

function tryMount(at: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', at], { stdio: 'ignore' });
    return true;
  } catch (reason) {
    return !(reason instanceof Error);
  }
}

describe('one flipped byte', () => {
  test('in any object is found, at the depth that reads it', async () => {
    const small = buildStore(path.join(folder, 'small'), 300, { fileBytes: 64 * 1024 });
    const keyless = await open();
    const made = await keyless.run({ rootDir: small.root });
    const objects = filesBelow(repository()).filter((file) => !file.endsWith('repository.json'));
    const manifests = objects.filter((file) => file.includes('manifests'));
    const segments = objects.filter((file) => file.includes('segments'));
    expect(manifests).toHaveLength(1);
    // The largest holds log frames, the smallest a config file.
    const bySize = segments.sort((a, b) => fs.statSync(b).size - fs.statSync(a).size);
    for (const file of [...manifests, bySize[0] as string, bySize.at(-1) as string]) {
      const size = fs.statSync(file).size;
      for (const at of [0, 20, 60, 100, Math.floor(size / 2), size - 1]) {
        flip(file, at);
        const depth = manifests.includes(file) ? 'listed' : 'hashed';
        const proof = await keyless.verify({ id: made.id, depth });
        expect(proof.code, `${file} byte ${at}`).toBe('VERIFY_FAILED');
        flip(file, at);
      }
    }
    expect((await keyless.verify({ id: made.id, depth: 'restored' })).code).toBeUndefined();
  });

  test('is never restored', async () => {
    const backup = await open();
    const made = await backup.run({ rootDir: store.root });
    const segment = filesBelow(path.join(repository(), 'segments')).sort(
      (a, b) => fs.statSync(b).size - fs.statSync(a).size,
    )[0] as string;
    flip(segment, fs.statSync(segment).size - 9);
    await expect(backup.restore({ id: made.id, target: target() })).rejects.toMatchObject({
      code: 'CORRUPT',
    });
    expect(fs.readdirSync(target())).toEqual(['restoring']);
  });

  test('a missing or cut segment is found by listing alone', async () => {
    const backup = await open();
    const made = await backup.run({ rootDir: store.root });
    const [first = '', second = ''] = filesBelow(path.join(repository(), 'segments'));
    fs.rmSync(first);
    fs.truncateSync(second, fs.statSync(second).size - 1);
    const proof = await backup.verify({ id: made.id, depth: 'listed' });
    expect(proof.code).toBe('VERIFY_FAILED');
    expect(proof.problems.map((problem) => problem.kind)).toEqual(['missing', 'missing']);
    expect((await backup.list())[0]?.state).toBe('incomplete');
    // The next run mends what the older backup shares with it.
    await backup.run({ rootDir: store.root });
    expect((await backup.verify({ id: made.id, depth: 'hashed' })).code).toBeUndefined();
  });
});

function flip(file: string, at: number): void {
  const fd = fs.openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  fs.readSync(fd, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 0x10;
  fs.writeSync(fd, byte, 0, 1, at);
  fs.closeSync(fd);
}

describe('a store that is written to during the backup', () => {
  test('gives a log of whole records that is a prefix of the later one', async () => {
    const backup = await open();
    let next = 12_000;
    const timer = setInterval(() => {
      for (let i = 0; i < 20; i++) appendOrder(store, next++);
    }, 2);
    const made = await backup.run({ rootDir: store.root });
    clearInterval(timer);
    const result = await backup.restore({ id: made.id, target: target() });
    expect(result.breaks).toEqual([]);
    expect(store.offsets.includes(made.logMax) || made.logMax === store.end).toBe(true);
    for (const name of fs.readdirSync(path.join(target(), 'commitlog'))) {
      const [before, after] = [store.root, target()].map((root) =>
        fs.readFileSync(path.join(root, 'commitlog', name)),
      );
      const kept = Math.min(FILE_BYTES, made.logMax - Number(name));
      expect(after?.subarray(0, kept).equals(before?.subarray(0, kept) as Buffer)).toBe(true);
    }
  });
});
