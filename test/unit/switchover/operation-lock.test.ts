// One operation at a time; a dead holder is replaced, a living one never.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ControlStore } from '../../../switchover/index.ts';
import { openSqliteControlStore } from '../../../switchover/index.ts';
import {
  type LockOptions,
  OPERATION_LEASE,
  OperationLock,
} from '../../../switchover/operation/index.ts';

let store: ControlStore;
let nowMs = 0;
let living: Set<number>;

const options = (pid: number, more: Partial<LockOptions> = {}): LockOptions => ({
  store,
  purpose: 'switchover',
  ttlMs: 10_000,
  waitsForLapse: false,
  process: { host: 'here', pid, isAlive: (asked) => living.has(asked) },
  sleep: async (ms) => {
    nowMs += ms;
  },
  ...more,
});

beforeEach(() => {
  nowMs = 1_000;
  living = new Set([1, 2, 3]);
  const clock = { nowMs: () => nowMs, monotonicMs: () => nowMs };
  store = openSqliteControlStore({ path: ':memory:', clock });
});

afterEach(() => store.close());

test('the second is refused and told who holds it', async () => {
  const lock = await OperationLock.acquire(options(1));
  await expect(OperationLock.acquire(options(2))).rejects.toMatchObject({
    code: 'LOCKED',
    message: expect.stringContaining('switchover of process 1 on here'),
  });
  await lock.release();
  await (await OperationLock.acquire(options(2))).release();
});

test('a holder whose process is gone is replaced at once, and its journal writes are refused', async () => {
  const dead = await OperationLock.acquire(options(1));
  living.delete(1);
  const next = await OperationLock.acquire(options(2));
  await expect(store.append('op', 'late', dead.guard)).rejects.toMatchObject({ code: 'LOCKED' });
  await dead.release();
  expect((await store.readLease(OPERATION_LEASE))?.token).toBe(next.guard.token);
  await next.release();
});

test('resume waits until a silent holder on another machine lapses', async () => {
  const away = { host: 'elsewhere', pid: 9, isAlive: () => true };
  await OperationLock.acquire(options(9, { process: away }));
  await expect(OperationLock.acquire(options(2))).rejects.toMatchObject({ code: 'LOCKED' });
  const lock = await OperationLock.acquire(options(2, { waitsForLapse: true }));
  expect(nowMs).toBeGreaterThanOrEqual(11_000);
  await lock.release();
});

test('resume is refused when the holder on another machine goes on renewing', async () => {
  const away = { host: 'elsewhere', pid: 9, isAlive: () => true };
  const holder = await OperationLock.acquire(options(9, { process: away }));
  const sleep = async (ms: number) => {
    nowMs += ms;
    await store.renewLease(OPERATION_LEASE, holder.guard.token, 10_000 + nowMs);
  };
  await expect(
    OperationLock.acquire(options(2, { waitsForLapse: true, sleep })),
  ).rejects.toMatchObject({ code: 'LOCKED' });
  await holder.release();
});
