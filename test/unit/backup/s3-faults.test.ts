// The S3 adapter against a strict server in memory: the contract of every object store, and what a server
// or the way to it can do wrong. What must hold: no fault is taken for success, none loses an object.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  backupConfigSchema,
  type ObjectStore,
  openS3Store,
  openUploadJournal,
  type S3StoreOptions,
  withRetry,
} from '../../../backup/index.ts';
import { initBackup } from '../../support/backup/init-backup.ts';
import { buildStore } from '../../support/backup/log-builder.ts';
import { objectStoreSuite } from '../../support/backup/object-store-suite.ts';
import { KEYS, type StrictS3, startStrictS3 } from '../../support/backup/s3/server.ts';

const PART = 5 * 1024 * 1024;
const fresh = { ifAbsent: true };
let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-s3-faults-'));
  fs.writeFileSync(path.join(folder, 'key'), `${KEYS.id}\n${KEYS.secret}\n`);
  fs.writeFileSync(path.join(folder, 'wrong'), `${KEYS.id}\nanother-secret\n`);
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

let journals = 0;
const optionsOf = (server: StrictS3, more: Partial<S3StoreOptions> = {}): S3StoreOptions => ({
  endpoint: server.endpoint,
  bucket: server.bucket,
  prefix: 'p',
  region: 'us-east-1',
  accessKeyFile: path.join(folder, 'key'),
  checksumMode: 'WHEN_SUPPORTED',
  partBytes: PART,
  partsInFlight: 2,
  journal: openUploadJournal(path.join(folder, `uploads-${++journals}`)),
  ...more,
});

objectStoreSuite('s3 (strict server)', async () => {
  const server = await startStrictS3();
  return { open: () => openS3Store(optionsOf(server)), end: () => server.stop() };
});

describe('a server that', () => {
  let server: StrictS3;
  let plain: ObjectStore;
  let store: ObjectStore;
  beforeEach(async () => {
    server = await startStrictS3();
    plain = await openS3Store(optionsOf(server));
    store = withRetry(plain, { attempts: 3, firstDelayMs: 1, maxDelayMs: 2 });
  });
  afterEach(async () => {
    plain.close();
    await server.stop();
  });
  const body = Buffer.alloc(70_000, 'body');
  const large = Buffer.alloc(2 * PART + 9, 'large');
  const put = (kind: Parameters<StrictS3['inject']>[0]['kind'], times: number) =>
    server.inject({ method: 'PUT', at: '/p/k', kind, times });

  test.each([
    [500, 'InternalError'],
    [503, 'SlowDown'],
    [409, 'ConditionalRequestConflict'],
  ])('answers %i twice gets the same object a third time', async (status, code) => {
    put({ status, code }, 2);
    expect(await store.put('k', body, fresh)).toBe('created');
    expect((await store.get('k')).equals(body)).toBe(true);
  });

  test('answers 500 for good is an error, and nothing is there', async () => {
    put({ status: 500, code: 'InternalError' }, 99);
    await expect(store.put('k', body, fresh)).rejects.toMatchObject({ code: 'BUSY' });
    expect(await store.head('k')).toBeUndefined();
  });

  test('is full says DISK_FULL at once', async () => {
    put({ status: 507, code: 'InsufficientStorage' }, 99);
    await expect(store.put('k', body, fresh)).rejects.toMatchObject({ code: 'DISK_FULL' });
    expect(server.seen.filter((line) => line.startsWith('PUT'))).toHaveLength(1);
  });

  test('does not say that it created, did: the retry knows its own bytes', async () => {
    put('reset-after', 1);
    expect(await store.put('k', body, fresh)).toBe('created');
    put('reset-after', 1);
    expect(await store.put('k', Buffer.from('another'), fresh)).toBe('exists');
    expect((await store.get('k')).equals(body)).toBe(true);
  });

  test('resets the connection before the write gets it again', async () => {
    put('reset', 2);
    expect(await store.put('k', body, fresh)).toBe('created');
  });

  test('cuts a body short is asked again, and never believed', async () => {
    await store.put('k', body, fresh);
    server.inject({ method: 'GET', at: '/p/k', kind: 'short-body', times: 1 });
    expect((await store.get('k')).equals(body)).toBe(true);
    server.inject({ method: 'GET', at: '/p/k', kind: 'short-body', times: 9 });
    await expect(store.get('k')).rejects.toMatchObject({ code: 'NETWORK' });
  });

  test('lies about the ETag of a part cannot complete the object', async () => {
    server.inject({ method: 'PUT', at: 'partNumber=2', kind: 'lying-etag', times: 1 });
    await expect(plain.putLarge('k', large, fresh)).rejects.toThrowError();
    expect(server.objects.stored.has('p/k')).toBe(false);
    expect(await store.putLarge('k', large, fresh)).toBe('created');
    expect((await store.get('k')).equals(large)).toBe(true);
  });

  test('cuts an upload between parts sees only the missing parts again', async () => {
    server.inject({ method: 'PUT', at: 'partNumber=3', kind: 'reset', times: 1 });
    expect(await store.putLarge('k', large, fresh)).toBe('created');
    const parts = server.seen.filter((line) => line.includes('partNumber='));
    expect(parts.filter((line) => line.includes('partNumber=1'))).toHaveLength(1);
    expect(server.objects.uploads.size).toBe(0);
  });

  test('refuses the complete because another was first leaves no upload open', async () => {
    server.inject({
      method: 'POST',
      at: 'uploadId=',
      kind: { status: 412, code: 'PreconditionFailed' },
      times: 1,
    });
    expect(await store.putLarge('k', large, fresh)).toBe('exists');
    expect(server.objects.uploads.size).toBe(0);
  });

  test('is given a wrong secret says AUTH and stores nothing', async () => {
    const wrong = await openS3Store(
      optionsOf(server, { accessKeyFile: path.join(folder, 'wrong') }),
    );
    await expect(wrong.put('k', body, fresh)).rejects.toMatchObject({ code: 'AUTH' });
    await expect(wrong.get('k')).rejects.toMatchObject({ code: 'AUTH' });
    expect(server.objects.stored.size).toBe(0);
    wrong.close();
  });
});

test('a backup through a damaging server is found by verify and never restored', async () => {
  const server = await startStrictS3();
  const root = path.join(folder, 'store');
  buildStore(root, 400, { fileBytes: 64 * 1024 });
  const backup = await initBackup({
    config: backupConfigSchema.parse({
      repository: { kind: 's3', bucket: 'unused' },
      storeId: 'shop',
      workers: 1,
    }),
    objectStore: await openS3Store(optionsOf(server)),
  });
  const made = await backup.run({ rootDir: root });
  const damage = () =>
    server.inject({ method: 'GET', at: '/segments/', kind: 'damaged-body', times: 1 });
  damage();
  expect((await backup.verify({ id: made.id, depth: 'hashed' })).code).toBe('VERIFY_FAILED');
  damage();
  const target = path.join(folder, 'restored');
  await expect(backup.restore({ id: made.id, target })).rejects.toMatchObject({ code: 'CORRUPT' });
  expect((await backup.restore({ id: made.id, target })).records).toBe(400);
  backup.close();
  await server.stop();
});
