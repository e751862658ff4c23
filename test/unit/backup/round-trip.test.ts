// A store goes into a repository and comes back: bytes, sizes, times, offsets, refusals.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Backup, backupConfigSchema, createBackup } from '../../../backup/index.ts';
import { initBackup } from '../../support/backup/init-backup.ts';
import { appendOrder, buildStore, type LogBuilder, T0 } from '../../support/backup/log-builder.ts';

const FILE_BYTES = 64 * 1024;
let folder: string;
let store: LogBuilder;
let backup: Backup;

const open = (more: object = {}): Promise<Backup> =>
  initBackup({
    config: backupConfigSchema.parse({
      repository: { kind: 'file', path: path.join(folder, 'repository') },
      storeId: 'shop',
      workers: 2,
      ...more,
    }),
  });

beforeEach(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-backup-test-'));
  store = buildStore(path.join(folder, 'store'), 800, { fileBytes: FILE_BYTES });
  backup = await open();
});

afterEach(() => {
  backup.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

const target = () => path.join(folder, 'restored');
const logOf = (root: string) => {
  const log = path.join(root, 'commitlog');
  return Object.fromEntries(
    fs.readdirSync(log).map((name) => [name, fs.readFileSync(path.join(log, name))]),
  );
};
const readConfig = (name: string) =>
  JSON.parse(fs.readFileSync(path.join(target(), 'config', name), 'utf8'));

describe('a restored store', () => {
  test('has the same log byte for byte, in files of full size with their times', async () => {
    const made = await backup.run({ rootDir: store.root });
    expect(made).toMatchObject({ isComplete: true, logMin: 0, logMax: store.end });
    const result = await backup.restore({ id: 'latest', target: target() });
    expect(result).toMatchObject({ records: 800, logEnd: store.end, breaks: [] });
    const before = logOf(store.root);
    const after = logOf(target());
    expect(Object.keys(after)).toEqual(Object.keys(before));
    for (const [name, bytes] of Object.entries(before)) {
      expect(after[name]?.equals(bytes), name).toBe(true);
      const times = [store.root, target()].map((root) =>
        Math.floor(fs.statSync(path.join(root, 'commitlog', name)).mtimeMs),
      );
      expect(times[1]).toBe(times[0]);
    }
  });

  test('has abort and config, and nothing that would mislead a broker', async () => {
    fs.writeFileSync(path.join(store.root, 'drEpoch'), '{}');
    fs.writeFileSync(path.join(store.root, 'checkpoint'), Buffer.alloc(4096));
    await backup.run({ rootDir: store.root });
    await backup.restore({ id: 'latest', target: target() });
    expect(fs.readdirSync(target()).sort()).toEqual(['abort', 'commitlog', 'config']);
    expect(fs.readdirSync(path.join(target(), 'config')).sort()).toEqual([
      'consumerOffset.json',
      'subscriptionGroup.json',
      'topics.json',
    ]);
  });

  test('is refused into a folder that is not empty, which stays as it is', async () => {
    await backup.run({ rootDir: store.root });
    fs.mkdirSync(target());
    fs.writeFileSync(path.join(target(), 'precious'), 'x');
    await expect(backup.restore({ id: 'latest', target: target() })).rejects.toMatchObject({
      code: 'REFUSED',
    });
    expect(fs.readdirSync(target())).toEqual(['precious']);
  });

  test('ends at the last record stored by a time, with later queue offsets clamped', async () => {
    await backup.run({ rootDir: store.root });
    const cut = { toTimeMs: T0 + 99_500 };
    const result = await backup.restore({ id: 'latest', target: target(), cut });
    expect(result.records).toBe(100);
    expect(result.lastStoreTimestampMs).toBe(T0 + 99_000);
    expect(readConfig('consumerOffset.json').offsetTable['orders@billing']).toEqual({
      0: 25,
      1: 25,
      2: 0,
      3: 0,
    });
  });

  test('ends before an offset, and everything behind it is zero', async () => {
    await backup.run({ rootDir: store.root });
    const toOffset = (store.offsets[150] ?? 0) + 10;
    const result = await backup.restore({ id: 'latest', target: target(), cut: { toOffset } });
    expect(result.logEnd).toBe(store.offsets[150]);
    const files = logOf(target());
    const last = Object.keys(files).sort().at(-1) ?? '';
    const kept = result.logEnd - Number(last);
    expect(files[last]?.subarray(kept).every((byte) => byte === 0)).toBe(true);
    expect(files[last]?.length).toBe(FILE_BYTES);
  });
});

describe('a backup', () => {
  test('takes whole files over from the one before', async () => {
    const first = await backup.run({ rootDir: store.root });
    for (let i = 800; i < 900; i++) appendOrder(store, i);
    const second = await backup.run({ rootDir: store.root });
    expect(second.filesReused).toBe(first.files - 1);
    expect(second.logMax).toBe(store.end);
    await backup.restore({ id: second.id, target: target() });
    expect(logOf(target())).toEqual(logOf(store.root));
  });

  test('does not read the file allocated ahead', async () => {
    const last = Object.keys(logOf(store.root)).sort().at(-1) ?? '';
    const ahead = String(Number(last) + FILE_BYTES).padStart(20, '0');
    fs.writeFileSync(path.join(store.root, 'commitlog', ahead), Buffer.alloc(FILE_BYTES));
    const made = await backup.run({ rootDir: store.root });
    expect(made.logMax).toBe(store.end);
    expect(made.files).toBe(Number(last) / FILE_BYTES + 1);
  });

  test('of a torn tail ends before it', async () => {
    const file = path.join(store.root, 'commitlog', String(0).padStart(20, '0'));
    const last = Math.floor(store.end / FILE_BYTES) * FILE_BYTES;
    const lastFile = path.join(store.root, 'commitlog', String(last).padStart(20, '0'));
    const fd = fs.openSync(lastFile, 'r+');
    const torn = fs.readFileSync(file).subarray(0, 60);
    torn.writeBigInt64BE(BigInt(store.end), 28);
    fs.writeSync(fd, torn, 0, 60, store.end - last);
    fs.closeSync(fd);
    expect((await backup.run({ rootDir: store.root })).logMax).toBe(store.end);
  });

  test('of a log with a hole says so; restore gives what is before the hole', async () => {
    fs.rmSync(path.join(store.root, 'commitlog', String(FILE_BYTES).padStart(20, '0')));
    const made = await backup.run({ rootDir: store.root });
    expect(made).toMatchObject({
      isComplete: false,
      gaps: [{ from: FILE_BYTES, to: 2 * FILE_BYTES }],
    });
    expect((await backup.list())[0]?.state).toBe('gap');
    const verified = await backup.verify({ id: made.id, depth: 'listed' });
    expect(verified.code).toBe('INCOMPLETE');
    await expect(backup.restore({ id: made.id, target: target() })).rejects.toMatchObject({
      code: 'INCOMPLETE',
    });
    const cut = { toOffset: FILE_BYTES };
    const result = await backup.restore({ id: made.id, target: target(), cut });
    expect(result.records).toBe(store.offsets.filter((offset) => offset < FILE_BYTES).length);
  });

  test('lowers consumer offsets that are ahead of the log, and no others', async () => {
    store.config('consumerOffset.json', '{"offsetTable":{"orders@ahead":{0:5000,1:3}}}');
    const made = await backup.run({ rootDir: store.root });
    expect(made.clampedOffsets).toBe(1);
    await backup.restore({ id: made.id, target: target() });
    expect(readConfig('consumerOffset.json').offsetTable).toEqual({
      'orders@ahead': { 0: 200, 1: 3 },
    });
  });

  test('without topics.json is refused: a broker would serve nothing from it', async () => {
    fs.rmSync(path.join(store.root, 'config', 'topics.json'));
    await expect(backup.run({ rootDir: store.root })).rejects.toMatchObject({ code: 'REFUSED' });
  });

  test('reads topics.json.bak when the broker is just replacing the file', async () => {
    const topics = path.join(store.root, 'config', 'topics.json');
    fs.renameSync(topics, `${topics}.bak`);
    await backup.run({ rootDir: store.root });
    await backup.restore({ id: 'latest', target: target() });
    expect(readConfig('topics.json').topicConfigTable.orders).toBeDefined();
  });

  test('leaves no links behind in the store', async () => {
    await backup.run({ rootDir: store.root });
    expect(fs.readdirSync(store.root).sort()).toEqual(['commitlog', 'config', 'consumequeue']);
  });
});

describe('a repository', () => {
  const at = () => path.join(folder, 'elsewhere');
  const elsewhere = () =>
    createBackup({
      config: backupConfigSchema.parse({
        repository: { kind: 'file', path: at() },
        storeId: 'shop',
        workers: 1,
      }),
    });

  test('is begun by init only: a run into an empty folder is refused and writes nothing', async () => {
    const lost = await elsewhere();
    const run = () => lost.run({ rootDir: store.root });
    await expect(run()).rejects.toMatchObject({ code: 'UNREACHABLE' });
    fs.mkdirSync(at());
    await expect(run()).rejects.toMatchObject({
      code: 'UNREACHABLE',
      hint: expect.stringContaining('dr backup init'),
    });
    expect(fs.readdirSync(at())).toEqual([]);
    fs.mkdirSync(path.join(at(), 'lost+found'));
    await expect(run()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await lost.init()).toBe('created');
    expect(await lost.init()).toBe('exists');
    expect((await run()).isComplete).toBe(true);
  });

  test('is not begun among other things', async () => {
    fs.mkdirSync(at());
    fs.writeFileSync(path.join(at(), 'photos'), 'x');
    const wrong = await elsewhere();
    await expect(wrong.init()).rejects.toMatchObject({ code: 'REFUSED' });
    expect(fs.existsSync(path.join(at(), 'repository.json'))).toBe(false);
  });

  test('that lost its root object gets it again and keeps its backups', async () => {
    const made = await backup.run({ rootDir: store.root });
    fs.rmSync(path.join(folder, 'repository', 'repository.json'));
    await expect(backup.list()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await backup.init()).toBe('created');
    expect((await backup.list()).map((entry) => entry.id)).toEqual([made.id]);
  });
});

describe('log files that cannot be linked', () => {
  test('are pinned by open descriptors: one deleted meanwhile is archived all the same', async () => {
    const log = fs.mkdtempSync('/dev/shm/dr-log-');
    try {
      // Another file system: a hard link into the store root is impossible (EXDEV).
      fs.cpSync(path.join(store.root, 'commitlog'), log, {
        recursive: true,
        preserveTimestamps: true,
      });
      let deleted = '';
      const made = await backup.run({
        rootDir: store.root,
        commitLogDir: log,
        onProgress: () => {
          if (deleted !== '') return;
          deleted = fs.readdirSync(log).sort()[2] ?? '';
          fs.rmSync(path.join(log, deleted));
        },
      });
      expect(made).toMatchObject({ pinnedBy: 'descriptor', isComplete: true, records: 800 });
      expect(fs.readdirSync(log)).not.toContain(deleted);
      await backup.restore({ id: made.id, target: target() });
      expect(logOf(target())).toEqual(logOf(store.root));
    } finally {
      fs.rmSync(log, { recursive: true });
    }
  });
});

describe('queues whose messages were purged', () => {
  test('keep their next offset through backup and restore', async () => {
    const root = path.join(folder, 'purged');
    const shape = { fileBytes: FILE_BYTES, start: 4 * FILE_BYTES, queueStart: 1000 };
    const purged = buildStore(root, 200, shape);
    const quiet = { topic: 'quiet', queueId: 3 };
    for (let i = 0; i < 700; i++) purged.writeEntry(quiet, i, { at: i * 100, size: 100 });
    purged.config('consumerOffset.json', '{"offsetTable":{"quiet@g":{3:700},"orders@g":{0:1050}}}');
    const made = await backup.run({ rootDir: root });
    expect(made).toMatchObject({ logMin: 4 * FILE_BYTES, clampedOffsets: 0 });
    const result = await backup.restore({ id: made.id, target: target() });
    expect(result.queuesKept).toBe(1);
    const file = path.join(target(), 'consumequeue/quiet/3', String(600 * 20).padStart(20, '0'));
    const queue = fs.readFileSync(file);
    expect(queue.length).toBe(300 * 20);
    expect(queue.readInt32BE(98 * 20 + 8)).toBe(0x7fffffff);
    expect(Number(queue.readBigInt64BE(99 * 20))).toBe(69_900);
    expect(queue.readInt32BE(100 * 20 + 8)).toBe(0);
    // Nothing was clamped, so the text is the broker's own, integer keys and all.
    const offsets = fs.readFileSync(path.join(target(), 'config/consumerOffset.json'), 'utf8');
    expect(offsets).toBe('{"offsetTable":{"quiet@g":{3:700},"orders@g":{0:1050}}}');
    expect(fs.readdirSync(path.join(target(), 'consumequeue'))).toEqual(['quiet']);
  });
});

describe('delayed messages at a cut', () => {
  test('that were not delivered before it will be delivered again', async () => {
    const root = path.join(folder, 'delayed');
    const log = buildStore(root, 4, { fileBytes: FILE_BYTES });
    const half = (id: number, delivered: boolean, at: number) =>
      log.append({
        topic: delivered ? 'orders' : 'SCHEDULE_TOPIC_XXXX',
        queueId: 2,
        body: Buffer.from(`m${id}`),
        storeTimestampMs: T0 + at,
        properties: delivered
          ? { UNIQ_KEY: `D${id}` }
          : { UNIQ_KEY: `D${id}`, REAL_TOPIC: 'orders' },
      });
    half(1, false, 10_000);
    half(2, false, 11_000);
    half(1, true, 20_000);
    half(2, true, 21_000);
    log.config('delayOffset.json', '{"offsetTable":{3:2}}');
    await backup.run({ rootDir: root });
    const cut = { toTimeMs: T0 + 20_500 };
    await backup.restore({ id: 'latest', target: target(), cut });
    expect(readConfig('delayOffset.json').offsetTable).toEqual({ 3: 1 });
  });
});

describe('an encrypted repository', () => {
  test('gives the store back with its key, and refuses another or none', async () => {
    const keyFile = path.join(folder, 'key');
    fs.writeFileSync(keyFile, '11'.repeat(32));
    fs.rmSync(path.join(folder, 'repository'), { recursive: true });
    const sealed = await open({ encryptionKeyFile: keyFile });
    const made = await sealed.run({ rootDir: store.root });
    expect((await sealed.verify({ id: made.id, depth: 'restored' })).code).toBeUndefined();
    const again = await sealed.run({ rootDir: store.root });
    expect(again.newBytes).toBe(0);
    await sealed.restore({ id: made.id, target: target() });
    expect(logOf(target())).toEqual(logOf(store.root));
    expect(everyObject().some((bytes) => bytes.includes('widget-1'))).toBe(false);
    await expect(backup.list()).rejects.toMatchObject({ code: 'AUTH' });
    fs.writeFileSync(keyFile, '22'.repeat(32));
    await expect(open({ encryptionKeyFile: keyFile })).rejects.toMatchObject({ code: 'AUTH' });
  });
});

function everyObject(): Buffer[] {
  const root = path.join(folder, 'repository');
  return fs
    .readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => fs.readFileSync(path.join(entry.parentPath, entry.name)));
}
