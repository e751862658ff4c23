// What every control store must do; run for sqlite in the unit tests and for a real Redis in interop.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ControlStore, LeaseOwner } from '../../../switchover/control-store/index.ts';

export interface StoreUnderTest {
  /** Another opener of the same content, as a second process would be. */
  open(): Promise<ControlStore>;
  dispose(): Promise<void>;
}

const owner = (id: string): LeaseOwner => ({ id, host: 'h', pid: 1, purpose: 'switchover' });

export function controlStoreContract(name: string, setUp: () => Promise<StoreUnderTest>): void {
  describe(`control store contract: ${name}`, () => {
    let subject: StoreUnderTest;
    let a: ControlStore;
    let b: ControlStore;

    beforeEach(async () => {
      subject = await setUp();
      a = await subject.open();
      b = await subject.open();
    });

    afterEach(async () => {
      await a.close();
      await b.close();
      await subject.dispose();
    });

    test('a lease has one holder at a time, and the refused one is told who it is', async () => {
      const first = await a.acquireLease('op', { owner: owner('a'), ttlMs: 60_000 });
      expect(first).toEqual({ isHeld: true, token: 1 });
      const second = await b.acquireLease('op', { owner: owner('b'), ttlMs: 60_000 });
      expect(second).toMatchObject({ isHeld: false, holder: { owner: owner('a'), token: 1 } });
      expect((await b.readLease('op'))?.remainingMs).toBeGreaterThan(0);
    });

    test('of many that ask at once exactly one gets the lease', async () => {
      const asked = Array.from({ length: 20 }, (_, i) =>
        (i % 2 ? a : b).acquireLease('op', { owner: owner(`${i}`), ttlMs: 60_000 }),
      );
      const held = (await Promise.all(asked)).filter((answer) => answer.isHeld);
      expect(held).toHaveLength(1);
    });

    test('the token grows over release, expiry and eviction', async () => {
      await a.acquireLease('op', { owner: owner('a'), ttlMs: 60_000 });
      await a.releaseLease('op', 1);
      expect(await a.readLease('op')).toBeUndefined();
      const second = await b.acquireLease('op', { owner: owner('b'), ttlMs: 1 });
      expect(second).toEqual({ isHeld: true, token: 2 });
      const third = await vi.waitUntil(
        async () => {
          const answer = await a.acquireLease('op', { owner: owner('a'), ttlMs: 60_000 });
          return answer.isHeld && answer;
        },
        { timeout: 60_000, interval: 5 },
      );
      expect(third).toEqual({ isHeld: true, token: 3 });
      const evicted = { owner: owner('b'), ttlMs: 60_000, evictToken: 3 };
      expect(await b.acquireLease('op', evicted)).toEqual({ isHeld: true, token: 4 });
    });

    test('an eviction names the exact holder: a newer one stays', async () => {
      await a.acquireLease('op', { owner: owner('a'), ttlMs: 60_000 });
      const wrong = { owner: owner('b'), ttlMs: 60_000, evictToken: 7 };
      expect((await b.acquireLease('op', wrong)).isHeld).toBe(false);
    });

    test('only the holder renews and releases', async () => {
      await a.acquireLease('op', { owner: owner('a'), ttlMs: 60_000 });
      expect(await a.renewLease('op', 1, 60_000)).toBe(true);
      expect(await b.renewLease('op', 2, 60_000)).toBe(false);
      await b.releaseLease('op', 2);
      expect(await a.readLease('op')).toMatchObject({ token: 1 });
      await a.releaseLease('op', 1);
      expect(await a.renewLease('op', 1, 60_000)).toBe(false);
      expect(await a.renewLease('never', 1, 60_000)).toBe(false);
    });

    test('compare-and-set writes only over the version it was shown', async () => {
      expect(await a.read('k')).toBeUndefined();
      expect(await a.compareAndSet('k', 1, 'x')).toBeUndefined();
      expect(await a.compareAndSet('k', 0, { n: 1 })).toBe(1);
      expect(await b.compareAndSet('k', 0, { n: 9 })).toBeUndefined();
      expect(await b.compareAndSet('k', 1, { n: 2 })).toBe(2);
      expect(await a.compareAndSet('k', 1, { n: 3 })).toBeUndefined();
      expect(await a.read('k')).toEqual({ version: 2, value: { n: 2 } });
    });

    test('of many concurrent writers of one version one wins', async () => {
      const writes = Array.from({ length: 20 }, (_, i) => (i % 2 ? a : b).compareAndSet('k', 0, i));
      const won = (await Promise.all(writes)).filter((version) => version !== undefined);
      expect(won).toEqual([1]);
    });

    test('the journal keeps order per stream and is read from any place', async () => {
      const first = await a.append('s', { step: 1 });
      await a.append('other', { step: 9 });
      const second = await b.append('s', { step: 2 });
      const third = await a.append('s', { step: 3, text: 'ü\n"' });
      expect(first < second && second < third).toBe(true);
      expect((await b.readJournal('s')).map((entry) => entry.record)).toEqual([
        { step: 1 },
        { step: 2 },
        { step: 3, text: 'ü\n"' },
      ]);
      expect((await b.readJournal('s', second)).map((entry) => entry.seq)).toEqual([third]);
      expect(await a.readJournal('none')).toEqual([]);
    });

    test('a guarded append of a holder that lost its lease is refused', async () => {
      await a.acquireLease('op', { owner: owner('a'), ttlMs: 60_000 });
      const guard = { lease: 'op', token: 1 };
      await a.append('s', 'mine', guard);
      await b.acquireLease('op', { owner: owner('b'), ttlMs: 60_000, evictToken: 1 });
      await expect(a.append('s', 'late', guard)).rejects.toMatchObject({ code: 'LOCKED' });
      await b.append('s', 'theirs', { lease: 'op', token: 2 });
      await b.releaseLease('op', 2);
      await expect(b.append('s', 'released', { lease: 'op', token: 2 })).rejects.toMatchObject({
        code: 'LOCKED',
      });
      const kept = (await a.readJournal('s')).map((entry) => entry.record);
      expect(kept).toEqual(['mine', 'theirs']);
    });

    test('a watch sees the changes of another opener, the latest value last', async () => {
      const seen: unknown[] = [];
      const stop = await a.watch('k', (entry) => seen.push(entry.value));
      await b.compareAndSet('k', 0, 'one');
      await vi.waitUntil(() => seen.length > 0, { timeout: 60_000, interval: 5 });
      await b.compareAndSet('k', 1, 'two');
      await vi.waitUntil(() => seen.at(-1) === 'two', { timeout: 60_000, interval: 5 });
      await stop();
      await b.compareAndSet('k', 2, 'three');
      await b.read('k');
      expect(seen.at(-1)).toBe('two');
    });

    test('what was answered is there for an opener that comes later', async () => {
      await a.compareAndSet('k', 0, 'v');
      await a.append('s', 'r');
      await a.acquireLease('op', { owner: owner('a'), ttlMs: 60_000 });
      await a.close();
      const late = await subject.open();
      expect(await late.read('k')).toEqual({ version: 1, value: 'v' });
      expect((await late.readJournal('s')).map((entry) => entry.record)).toEqual(['r']);
      expect((await late.readLease('op'))?.owner).toEqual(owner('a'));
      await late.close();
    });
  });
}
