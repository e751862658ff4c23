// The file adapter against the contract, and what only a file system can do wrong.
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  type FileStoreOptions,
  type ObjectStore,
  openFileStore,
  withRetry,
  withThrottle,
} from '../../../backup/index.ts';
import { DrError } from '../../../core-broker/base/index.ts';
import { objectStoreSuite } from '../../support/backup/object-store-suite.ts';

const newRoot = () => fs.mkdtempSync(path.join(os.tmpdir(), 'dr-objects-'));

async function prepared(options: FileStoreOptions): Promise<ObjectStore> {
  const store = openFileStore(options);
  await store.prepare();
  return store;
}

objectStoreSuite('file', async () => {
  const root = newRoot();
  return {
    open: () => prepared({ root }),
    end: async () => fs.rmSync(root, { recursive: true, force: true }),
  };
});

describe('the file store', () => {
  test('whose root vanished fails, and does not make it again', async () => {
    const root = newRoot();
    const store = await prepared({ root });
    fs.rmSync(root, { recursive: true });
    const calls = [
      () => store.put('a', Buffer.alloc(1), { ifAbsent: true }),
      () => store.get('a'),
      () => store.list(''),
      () => store.head('a'),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'UNREACHABLE' });
    expect(fs.existsSync(root)).toBe(false);
  });

  test('below a folder that is not there is unreachable', async () => {
    await expect(prepared({ root: '/nowhere/at/all' })).rejects.toMatchObject({
      code: 'UNREACHABLE',
    });
  });

  test('whose mount is gone writes nothing into the empty folder below', async () => {
    const root = newRoot();
    const store = openFileStore({ root });
    const calls = [
      () => store.put('a', Buffer.alloc(1), { ifAbsent: true }),
      () => store.put('a', Buffer.alloc(1), { ifAbsent: false }),
      () => store.get('a'),
      () => store.list(''),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'UNREACHABLE' });
    expect(fs.readdirSync(root)).toEqual([]);
    fs.rmSync(root, { recursive: true });
  });

  test('shows no object before it is whole, and clears what a killed writer left', async () => {
    const root = newRoot();
    await prepared({ root });
    const left = path.join(root, '.tmp', `${os.hostname()}~999999999~00`);
    fs.writeFileSync(left, 'half');
    const store = openFileStore({ root });
    expect(await store.list('')).toEqual([]);
    expect(fs.existsSync(left)).toBe(false);
    fs.rmSync(root, { recursive: true });
  });
});

const noLinks = () => Promise.reject(Object.assign(new Error('no links'), { code: 'EPERM' }));
objectStoreSuite('file (without hard links)', async () => {
  const root = newRoot();
  return {
    open: async () => withRetry(await prepared({ root, link: noLinks })),
    end: async () => fs.rmSync(root, { recursive: true, force: true }),
  };
});

describe('the file store without hard links', () => {
  const fresh = { ifAbsent: true };
  test('leaves alone what another wrote between its look and its claim', async () => {
    const root = newRoot();
    const link = (_from: string, to: string) => {
      fs.writeFileSync(to, 'first');
      return noLinks();
    };
    const store = await prepared({ root, link });
    expect(await store.put('a', Buffer.from('second'), fresh)).toBe('exists');
    expect((await store.get('a')).toString()).toBe('first');
    fs.rmSync(root, { recursive: true });
  });

  test('takes over the claim of a dead writer, and waits for a living one', async () => {
    const root = newRoot();
    const store = await prepared({ root, link: noLinks });
    const name = createHash('sha256').update(path.join(root, 'a')).digest('hex').slice(0, 32);
    const claim = path.join(root, '.tmp', `${name}.claim`);
    fs.writeFileSync(claim, `${os.hostname()}~${process.pid}`);
    await expect(store.put('a', Buffer.from('x'), fresh)).rejects.toMatchObject({ code: 'BUSY' });
    expect(await store.head('a')).toBeUndefined();
    fs.writeFileSync(claim, `${os.hostname()}~999999999`);
    expect(await store.put('a', Buffer.from('x'), fresh)).toBe('created');
    expect(fs.readdirSync(path.join(root, '.tmp'))).toEqual([]);
    fs.rmSync(root, { recursive: true });
  });
});

/** A store whose first `failures` puts happen but do not answer. */
function answerless(inner: ObjectStore, failures: number): ObjectStore {
  let left = failures;
  return Object.assign(Object.create(inner) as ObjectStore, {
    where: inner.where,
    put: async (...call: Parameters<ObjectStore['put']>) => {
      const result = await inner.put(...call);
      if (left-- > 0) throw new DrError('TIMEOUT', 'no answer');
      return result;
    },
    get: (...call: Parameters<ObjectStore['get']>) => inner.get(...call),
  });
}

describe('retry', () => {
  const policy = { attempts: 3, firstDelayMs: 1, maxDelayMs: 2 };
  test('of a create that happened without an answer says created, not exists', async () => {
    const root = newRoot();
    const store = withRetry(answerless(await prepared({ root }), 1), policy);
    expect(await store.put('m', Buffer.from('mine'), { ifAbsent: true })).toBe('created');
    const other = withRetry(answerless(await prepared({ root }), 1), policy);
    expect(await other.put('m', Buffer.from('other'), { ifAbsent: true })).toBe('exists');
    expect((await store.get('m')).toString()).toBe('mine');
    fs.rmSync(root, { recursive: true });
  });

  test('gives up after its attempts with the last error', async () => {
    const root = newRoot();
    const store = withRetry(answerless(await prepared({ root }), 9), policy);
    await expect(store.put('m', Buffer.from('x'), { ifAbsent: true })).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
    fs.rmSync(root, { recursive: true });
  });
});

test('throttle books every byte that goes and comes', async () => {
  const root = newRoot();
  const taken: number[] = [];
  const pace = { take: async (bytes: number) => void taken.push(bytes) };
  const store = withThrottle(await prepared({ root }), pace);
  await store.put('a', Buffer.alloc(10), { ifAbsent: true });
  await store.putLarge('b', Buffer.alloc(20), { ifAbsent: true });
  await store.get('b', { start: 0, end: 5 });
  await store.head('a');
  expect(taken).toEqual([10, 20, 5]);
  fs.rmSync(root, { recursive: true });
});
