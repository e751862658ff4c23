// The two-phase fence: nothing is appended while it stands, everything exactly once and in order when it
// lifts, nothing is lifted by itself once sealed, and no late request of an aborted operation fences again.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { patiently } from '../../support/patiently.ts';
import {
  type FakeAnswer,
  type FakeBroker,
  fakeBroker,
  fakeConnection,
  sendFrame,
} from './fake-parts.ts';

let broker: FakeBroker;
let answers: FakeAnswer[];
const LONG_MS = 60_000;

beforeEach(() => {
  broker = fakeBroker();
  broker.guard.open(1);
  broker.admission.refresh();
  answers = [];
});
afterEach(() => broker.close());

const waitFor = (isTrue: () => boolean) => patiently(() => expect(isTrue()).toBe(true));

describe('fence', () => {
  it('parks sends and appends them exactly once, in order, when it expires', async () => {
    const client = fakeConnection(answers);
    broker.arrive(client, sendFrame(1));
    broker.desk.fence({ opId: 'op', deadlineMs: 30 });
    for (const opaque of [2, 3, 4]) broker.arrive(client, sendFrame(opaque));
    expect(broker.appended).toEqual([1]);
    await waitFor(() => broker.guard.writeState === 'open');
    broker.arrive(client, sendFrame(5));
    await waitFor(() => broker.appended.length === 5);
    expect(broker.appended).toEqual([1, 2, 3, 4, 5]);
    expect(broker.parking.count).toBe(0);
    expect(answers).toEqual([]);
  });

  it('lets nobody overtake parked frames while they are released in slices', async () => {
    const client = fakeConnection(answers);
    broker.desk.fence({ opId: 'op', deadlineMs: LONG_MS });
    const big = 'x'.repeat(1024 * 1024);
    for (let opaque = 0; opaque < 50; opaque++)
      broker.arrive(client, sendFrame(opaque, { body: big }));
    broker.desk.unfence('op');
    for (let opaque = 50; opaque < 60; opaque++) broker.arrive(client, sendFrame(opaque));
    await waitFor(() => broker.appended.length === 60);
    expect(broker.appended).toEqual(Array.from({ length: 60 }, (_, opaque) => opaque));
  });

  it('refuses with code 16 what waited longer than clients wait', async () => {
    broker.close();
    broker = fakeBroker('active', 20);
    broker.guard.open(1);
    broker.desk.fence({ opId: 'op', deadlineMs: LONG_MS });
    const client = fakeConnection(answers);
    broker.arrive(client, sendFrame(7));
    broker.arrive(client, sendFrame(8, { oneway: true }));
    await waitFor(() => broker.parking.count === 0);
    expect(answers.map(({ opaque, code }) => [opaque, code])).toEqual([[7, 16]]);
    expect(answers[0]?.remark).toContain('fenced at epoch 1');
    broker.desk.unfence('op');
    expect(broker.appended).toEqual([]);
  });

  it('is idempotent by opId and refuses another operation', () => {
    broker.desk.fence({ opId: 'op', deadlineMs: LONG_MS });
    broker.desk.fence({ opId: 'op', deadlineMs: LONG_MS });
    expect(() => broker.desk.fence({ opId: 'other', deadlineMs: LONG_MS })).toThrow('fence');
    broker.desk.unfence('other');
    expect(broker.guard.writeState).toBe('fenced');
  });

  it('does not fence for an operation that was aborted here', () => {
    broker.desk.fence({ opId: 'op', deadlineMs: LONG_MS });
    broker.desk.unfence('op');
    expect(() => broker.desk.fence({ opId: 'op', deadlineMs: LONG_MS })).toThrow('aborted');
    expect(broker.guard.writeState).toBe('open');
  });

  it('freezes commits and send-backs with a code that clients repeat elsewhere', () => {
    broker.desk.fence({ opId: 'op', deadlineMs: LONG_MS });
    expect(broker.admission.commitRefusal('g')?.code).toBe(16);
    expect(broker.admission.sendBackRefusal()?.code).toBe(16);
    expect(broker.admission.mayCreate).toBe(false);
    expect(broker.admission.holdMsMax).toBeLessThanOrEqual(1000);
    broker.desk.unfence('op');
    expect(broker.admission.commitRefusal('g')).toBeUndefined();
    expect(broker.admission.holdMsMax).toBe(Number.POSITIVE_INFINITY);
  });
});

describe('seal', () => {
  it('needs the fence of the same operation and then never expires', async () => {
    await expect(broker.desk.seal('op')).rejects.toThrow('cannot seal');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    broker.desk.fence({ opId: 'op', deadlineMs: 20 });
    await expect(broker.desk.seal('other')).rejects.toThrow('cannot seal');
    await broker.desk.seal('op');
    vi.advanceTimersByTime(60_000);
    vi.useRealTimers();
    expect(broker.guard.writeState).toBe('sealed');
    await broker.desk.seal('op');
    expect(() => broker.desk.unfence('op')).toThrow('sealed');
  });

  it('is lifted only by its own operation; parked sends are appended then', async () => {
    const client = fakeConnection(answers);
    broker.desk.fence({ opId: 'op', deadlineMs: LONG_MS });
    broker.arrive(client, sendFrame(1));
    await broker.desk.seal('op');
    broker.arrive(client, sendFrame(2));
    await expect(broker.desk.unseal('other')).rejects.toThrow();
    expect(broker.guard.writeState).toBe('sealed');
    await broker.desk.unseal('op');
    await broker.desk.unseal('op');
    expect(broker.appended).toEqual([1, 2]);
    expect(() => broker.desk.fence({ opId: 'op', deadlineMs: LONG_MS })).toThrow('aborted');
  });

  it('is not lifted once a peer says that another region was promoted', async () => {
    broker.desk.fence({ opId: 'op', deadlineMs: LONG_MS });
    await broker.desk.seal('op');
    broker.onAskPeers = () => broker.known.learn({ region: 'west', epoch: 2 });
    await expect(broker.desk.unseal('op')).rejects.toThrow('cannot unseal');
    expect(broker.guard.writeState).toBe('deposed');
    expect(broker.admission.refusal()).toEqual({
      code: 16,
      remark: 'fenced at epoch 2, active region west',
    });
  });
});

describe('standby', () => {
  it('takes commits of its own groups only', () => {
    broker.close();
    broker = fakeBroker('standby');
    expect(broker.admission.commitRefusal('near')).toBeUndefined();
    expect(broker.admission.commitRefusal('far')?.code).toBe(16);
    expect(broker.admission.state).toBe('refused');
  });
});
