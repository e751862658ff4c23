// The S3 adapter against a real server: the contract of every object store, resumed uploads, wrong keys,
// and a whole backup, verify and restore through a bucket.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type BackupConfig,
  backupConfigSchema,
  openS3Store,
  openUploadJournal,
  probeChecksumMode,
  type S3StoreOptions,
} from '../../backup/index.ts';
import { initBackup } from '../support/backup/init-backup.ts';
import { buildStore } from '../support/backup/log-builder.ts';
import { objectStoreSuite } from '../support/backup/object-store-suite.ts';
import { type RunningGateway, startGateway } from '../support/backup/versitygw.ts';

let gateway: RunningGateway;
let folder: string;
beforeAll(async () => {
  gateway = await startGateway();
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-s3-test-'));
});
afterAll(async () => {
  await gateway.stop();
  fs.rmSync(folder, { recursive: true, force: true });
});

const PART = 5 * 1024 * 1024;
const optionsFor = (bucket: string, more: Partial<S3StoreOptions> = {}): S3StoreOptions => ({
  endpoint: gateway.endpoint,
  bucket,
  prefix: 'some/prefix',
  region: 'us-east-1',
  accessKeyFile: gateway.accessKeyFile,
  checksumMode: 'WHEN_SUPPORTED',
  partBytes: PART,
  partsInFlight: 3,
  journal: openUploadJournal(path.join(folder, 'uploads')),
  ...more,
});

objectStoreSuite('s3', async () => {
  const bucket = await gateway.newBucket();
  return { open: () => openS3Store(optionsFor(bucket)), end: async () => undefined };
});

describe('a large upload', () => {
  const uploadsIn = async (bucket: string) => {
    const { ListMultipartUploadsCommand, S3Client } = await import('@aws-sdk/client-s3');
    const client = new S3Client({
      endpoint: gateway.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'ak1', secretAccessKey: 'sk1secret' },
    });
    const answer = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
    client.destroy();
    return answer.Uploads ?? [];
  };
  const body = Buffer.alloc(4 * PART + 77, 'resumable');

  test('killed half-way goes on with the parts that are there', async () => {
    const bucket = await gateway.newBucket();
    const child = path.resolve('test/support/backup/killed-upload.ts');
    const journalFolder = path.join(folder, 'killed');
    const { journal: _unused, ...plain } = optionsFor(bucket, { partsInFlight: 1 });
    const request = JSON.stringify({ ...plain, journalFolder, sizeBytes: body.length });
    expect(() => execFileSync(process.execPath, [child, request])).toThrowError();
    expect(await uploadsIn(bucket)).toHaveLength(1);
    const journal = openUploadJournal(journalFolder);
    expect(journal.all()).toHaveLength(1);
    const store = await openS3Store({ ...plain, journal });
    const sent = countParts();
    expect(await store.putLarge('big', body, { ifAbsent: true })).toBe('created');
    expect(sent.end()).toEqual([3, 4, 5]);
    expect((await store.get('big')).equals(body)).toBe(true);
    expect(await uploadsIn(bucket)).toEqual([]);
    expect(journal.all()).toEqual([]);
    store.close();
  });

  test('that lost the race leaves no open upload behind', async () => {
    const bucket = await gateway.newBucket();
    const clients = await Promise.all([0, 1, 2].map(() => openS3Store(optionsFor(bucket))));
    const journals = clients.map((_, i) => openUploadJournal(path.join(folder, `race-${i}`)));
    const racers = await Promise.all(
      journals.map((journal) => openS3Store(optionsFor(bucket, { journal }))),
    );
    const answers = await Promise.all(
      racers.map((store) => store.putLarge('race', body, { ifAbsent: true })),
    );
    expect(answers.filter((answer) => answer === 'created')).toHaveLength(1);
    expect(await uploadsIn(bucket)).toEqual([]);
    for (const store of [...clients, ...racers]) store.close();
  });

  test('nobody goes on with is aborted by sweep', async () => {
    const bucket = await gateway.newBucket();
    const store = await openS3Store(optionsFor(bucket));
    const failing = failOnPart(2);
    await expect(store.putLarge('left', body, { ifAbsent: true })).rejects.toThrowError();
    failing.end();
    expect(await uploadsIn(bucket)).toHaveLength(1);
    await store.sweep();
    expect(await uploadsIn(bucket)).toEqual([]);
    store.close();
  });
});

describe('a bucket', () => {
  test('with a wrong secret is refused as AUTH, a missing one as UNREACHABLE', async () => {
    const wrong = path.join(folder, 'wrong');
    fs.writeFileSync(wrong, 'ak1\nnot-the-secret\n');
    const bucket = await gateway.newBucket();
    const denied = await openS3Store(optionsFor(bucket, { accessKeyFile: wrong }));
    await expect(denied.get('x')).rejects.toMatchObject({ code: 'AUTH' });
    const missing = await openS3Store(optionsFor('no-such-bucket'));
    await expect(missing.put('x', Buffer.alloc(1), { ifAbsent: true })).rejects.toMatchObject({
      code: 'UNREACHABLE',
    });
    denied.close();
    missing.close();
  });

  test('tells which checksum mode it understands', async () => {
    const bucket = await gateway.newBucket();
    expect(await probeChecksumMode(optionsFor(bucket))).toBe('WHEN_SUPPORTED');
  });
});

describe('a repository in a bucket', () => {
  const open = async (bucket: string) => {
    const config: BackupConfig = backupConfigSchema.parse({
      repository: {
        kind: 's3',
        endpoint: gateway.endpoint,
        bucket,
        prefix: 'backups',
        accessKeyFile: gateway.accessKeyFile,
        partBytes: PART,
      },
      storeId: 'shop',
      workers: 2,
      stateDir: path.join(folder, 'state'),
    });
    return initBackup({ config });
  };

  test('takes a store, proves it, gives it back, and finds damage', async () => {
    const bucket = await gateway.newBucket();
    const root = path.join(folder, 'store');
    const store = buildStore(root, 2_000, { fileBytes: 256 * 1024 });
    const backup = await open(bucket);
    const made = await backup.run({ rootDir: root });
    expect((await backup.verify({ id: made.id, depth: 'restored' })).records).toBe(2_000);
    const target = path.join(folder, 'restored');
    expect((await backup.restore({ id: 'latest', target })).logEnd).toBe(store.end);
    for (const name of fs.readdirSync(path.join(root, 'commitlog'))) {
      const [before, after] = [root, target].map((at) =>
        fs.readFileSync(path.join(at, 'commitlog', name)),
      );
      expect(after?.equals(before as Buffer)).toBe(true);
    }
    const again = await backup.run({ rootDir: root });
    expect(again.newBytes).toBe(0);
    damageOne(path.join(gateway.dataDir, bucket, 'backups', 'segments'));
    expect((await backup.verify({ id: made.id, depth: 'listed' })).code).toBeUndefined();
    expect((await backup.verify({ id: made.id, depth: 'hashed' })).code).toBe('VERIFY_FAILED');
    const pruned = await backup.prune({
      dryRun: false,
      keep: { last: 1, daily: 0, withinHours: 0 },
    });
    expect(pruned.deleted).toEqual([made.id]);
    backup.close();
  });
});

function damageOne(folderOfSegments: string): void {
  const file = fs
    .readdirSync(folderOfSegments, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort((a, b) => fs.statSync(b).size - fs.statSync(a).size)[0] as string;
  const fd = fs.openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  const at = fs.fstatSync(fd).size - 1;
  fs.readSync(fd, byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 0x40;
  fs.writeSync(fd, byte, 0, 1, at);
  fs.closeSync(fd);
}

async function interceptParts(onPart: (part: number) => void) {
  const { S3Client } = await import('@aws-sdk/client-s3');
  const original = S3Client.prototype.send;
  S3Client.prototype.send = function (this: unknown, ...call: unknown[]) {
    const [command] = call as [{ input?: { PartNumber?: number } }];
    if (command.input?.PartNumber !== undefined) onPart(command.input.PartNumber);
    return (original as (...rest: unknown[]) => unknown).apply(this, call);
  } as typeof original;
  return () => {
    S3Client.prototype.send = original;
  };
}

function countParts() {
  const parts: number[] = [];
  const restore = interceptParts((part) => parts.push(part));
  return {
    end: () => {
      void restore.then((undo) => undo());
      return parts.sort();
    },
  };
}

function failOnPart(part: number) {
  const restore = interceptParts((sent) => {
    if (sent === part) throw Object.assign(new Error('cut'), { code: 'ECONNRESET' });
  });
  return { end: () => void restore.then((undo) => undo()) };
}
