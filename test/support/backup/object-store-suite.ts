// The contract of an object store: file and S3 pass the same tests.
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ObjectStore } from '../../../backup/index.ts';

export interface ObjectStoreFixture {
  /** One more client of the same empty store. */
  open(): Promise<ObjectStore>;
  end(): Promise<void>;
}

export function objectStoreSuite(name: string, create: () => Promise<ObjectStoreFixture>): void {
  describe(`the ${name} object store`, () => {
    let fixture: ObjectStoreFixture;
    let store: ObjectStore;
    beforeEach(async () => {
      fixture = await create();
      store = await fixture.open();
    });
    afterEach(async () => {
      store.close();
      await fixture.end();
    });
    const fresh = { ifAbsent: true };

    test('gives back what was put, whole and in ranges', async () => {
      const body = randomBytes(100_000);
      expect(await store.put('a/b', body, fresh)).toBe('created');
      expect((await store.get('a/b')).equals(body)).toBe(true);
      const part = await store.get('a/b', { start: 10, end: 5_000 });
      expect(part.equals(body.subarray(10, 5_000))).toBe(true);
      const tail = await store.get('a/b', { start: 99_990, end: 200_000 });
      expect(tail.equals(body.subarray(99_990))).toBe(true);
      await expect(store.get('a/b', { start: 100_000, end: 100_001 })).rejects.toMatchObject({
        code: 'CORRUPT',
      });
    });

    test('holds an empty object', async () => {
      await store.put('empty', Buffer.alloc(0), fresh);
      expect((await store.get('empty')).length).toBe(0);
      expect(await store.head('empty')).toMatchObject({ key: 'empty', sizeBytes: 0 });
    });

    test('creates only if absent, and leaves the first content alone', async () => {
      await store.put('k', Buffer.from('first'), fresh);
      expect(await store.put('k', Buffer.from('second'), fresh)).toBe('exists');
      expect((await store.get('k')).toString()).toBe('first');
      expect(await store.put('k', Buffer.from('third'), { ifAbsent: false })).toBe('created');
      expect((await store.get('k')).toString()).toBe('third');
    });

    test('lets exactly one of many writers create', async () => {
      const clients = await Promise.all(Array.from({ length: 8 }, () => fixture.open()));
      const answers = await Promise.all(
        clients.map((client, i) => client.put('race', Buffer.from(`w${i}`), fresh)),
      );
      expect(answers.filter((answer) => answer === 'created')).toHaveLength(1);
      const winner = answers.indexOf('created');
      expect((await store.get('race')).toString()).toBe(`w${winner}`);
      for (const client of clients) client.close();
    });

    test('stores large bodies in parts, with the same condition', async () => {
      const body = randomBytes(13 * 1024 * 1024 + 5);
      expect(await store.putLarge('large', body, fresh)).toBe('created');
      expect((await store.get('large')).equals(body)).toBe(true);
      expect(await store.putLarge('large', randomBytes(11_000_000), fresh)).toBe('exists');
      expect((await store.head('large'))?.sizeBytes).toBe(body.length);
    });

    test('lists by prefix, sorted, over pages', async () => {
      const keys = Array.from({ length: 1_050 }, (_, i) => `p/${String(i).padStart(4, '0')}`);
      for (let at = 0; at < keys.length; at += 25) {
        const some = keys.slice(at, at + 25);
        await Promise.all(some.map((key) => store.put(key, Buffer.from('x'), fresh)));
      }
      await store.put('q/1', Buffer.from('y'), fresh);
      expect((await store.list('p/')).map((info) => info.key)).toEqual(keys);
      expect((await store.list('p/000')).map((info) => info.key)).toEqual(keys.slice(0, 10));
      expect(await store.list('nothing/')).toEqual([]);
      await store.delete([...keys, 'never-there']);
      expect((await store.list('')).map((info) => info.key)).toEqual(['q/1']);
    });

    test('says that something is missing: head undefined, get NOT_FOUND', async () => {
      expect(await store.head('no')).toBeUndefined();
      await expect(store.get('no')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    });

    test.each(['', '/a', 'a/', 'a//b', '../a', 'a/..', 'a b', `x${'y'.repeat(200)}`])(
      'refuses the key %j',
      async (key) => {
        await expect(store.put(key, Buffer.alloc(1), fresh)).rejects.toMatchObject({
          code: 'USAGE',
        });
      },
    );
  });
}
