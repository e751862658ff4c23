// The file adapter against the contract, and what only a file system can do wrong.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ObjectStore, openFileStore, withRetry, withThrottle } from '../../../backup/index.ts';
import { DrError } from '../../../core-broker/base/index.ts';
import { objectStoreSuite } from '../../support/backup/object-store-suite.ts';

const newRoot = () => fs.mkdtempSync(path.join(os.tmpdir(), 'dr-objects-'));

objectStoreSuite('file', async () => {
  const root = newRoot();
  return {
    open: async () => openFileStore({ root }),
    end: async () => fs.rmSync(root, { recursive: true, force: true }),
  };
});

describe('the file store', () => {
  test('whose root vanished fails, and does not make it again', async () => {
    const root = newRoot();
    const store = openFileStore({ root });
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

  test('below a folder that is not there is unreachable', () => {
    expect(() => openFileStore({ root: '/nowhere/at/all' })).toThrowError(DrError);
  });

  test('shows no object before it is whole, and clears what a killed writer left', async () => {
    const root = newRoot();
    openFileStore({ root });
    const left = path.join(root, '.tmp', `${os.hostname()}~999999999~00`);
    fs.writeFileSync(left, 'half');
    const store = openFileStore({ root });
    expect(await store.list('')).toEqual([]);
    expect(fs.existsSync(left)).toBe(false);
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
    const store = withRetry(answerless(openFileStore({ root }), 1), policy);
    expect(await store.put('m', Buffer.from('mine'), { ifAbsent: true })).toBe('created');
    const other = withRetry(answerless(openFileStore({ root }), 1), policy);
    expect(await other.put('m', Buffer.from('other'), { ifAbsent: true })).toBe('exists');
    expect((await store.get('m')).toString()).toBe('mine');
    fs.rmSync(root, { recursive: true });
  });

  test('gives up after its attempts with the last error', async () => {
    const root = newRoot();
    const store = withRetry(answerless(openFileStore({ root }), 9), policy);
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
  const store = withThrottle(openFileStore({ root }), pace);
  await store.put('a', Buffer.alloc(10), { ifAbsent: true });
  await store.putLarge('b', Buffer.alloc(20), { ifAbsent: true });
  await store.get('b', { start: 0, end: 5 });
  await store.head('a');
  expect(taken).toEqual([10, 20, 5]);
  fs.rmSync(root, { recursive: true });
});
