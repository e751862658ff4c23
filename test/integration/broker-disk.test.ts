// What clients are told when the disk is full, fails or is slow: never "stored" before it is.
import { describe, expect, test } from 'vitest';
import { type RemotingCommand, ResponseCode } from '../../core-broker/protocol/index.ts';
import { openStore } from '../../core-broker/store/index.ts';
import { BrokenDisk } from '../support/broken-disk.ts';
import { bodiesOf, eventually, startBroker } from '../support/broker-fixture.ts';

async function brokerOn(disk: BrokenDisk, values = {}) {
  return startBroker(values, { openStore: (options) => openStore(options, disk) });
}

/** The answer if it is there already. */
function watch(answer: Promise<RemotingCommand>) {
  const state: { answer: RemotingCommand | undefined } = { answer: undefined };
  answer.then(
    (given) => {
      state.answer = given;
    },
    () => undefined,
  );
  return state;
}

describe('a full disk', () => {
  test.each(['ASYNC_FLUSH', 'SYNC_FLUSH'])(
    '%s: sends caught by it are answered 14 at once and not kept; room brings writes back',
    async (mode) => {
      const disk = new BrokenDisk();
      const region = await brokerOn(disk, { flushDiskType: mode });
      await region.send('disk', 'before');
      disk.roomBytes = 700;
      const caught = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => region.send('disk', `c${n}`)));
      const kept = caught.flatMap((answer, n) => (answer.code === 0 ? [`c${n + 1}`] : []));
      for (const { code } of caught)
        expect([0, ResponseCode.SERVICE_NOT_AVAILABLE]).toContain(code);
      expect(kept.length).toBeLessThan(6);
      const later = await region.send('disk', 'later');
      expect(later.code).toBe(ResponseCode.SERVICE_NOT_AVAILABLE);
      expect(region.broker.health().reasons.join()).toMatch(/full/);
      expect(bodiesOf(await region.pull('disk', 0))).toEqual(['before', ...kept]);
      disk.roomBytes = Number.POSITIVE_INFINITY;
      await eventually(async () =>
        (await region.send('disk', 'after')).code === 0 ? true : undefined,
      );
      expect(region.broker.health().reasons).toEqual([]);
      expect(bodiesOf(await region.pull('disk', 0))).toEqual(['before', ...kept, 'after']);
      await region.stop();
    },
  );

  test('large writes under way when it fills are answered, and offsets stay dense', async () => {
    const disk = new BrokenDisk();
    const region = await brokerOn(disk);
    await region.send('disk', 'before');
    disk.isHeld = true;
    const large = Buffer.alloc(600_000, 1);
    const answers = [1, 2, 3].map(() => watch(region.send('disk', large)));
    await eventually(() => (disk.heldWrites > 0 ? true : undefined));
    disk.roomBytes = 700_000;
    disk.isHeld = false;
    while (disk.heldWrites > 0) disk.releaseNewest();
    const codes = await eventually(() =>
      answers.every((one) => one.answer) ? answers.map((one) => one.answer?.code) : undefined,
    );
    expect(codes).toContain(ResponseCode.SERVICE_NOT_AVAILABLE);
    disk.roomBytes = Number.POSITIVE_INFINITY;
    const after = await eventually(async () => {
      const answer = await region.send('disk', 'after');
      return answer.code === 0 ? answer : undefined;
    });
    const kept = codes.filter((code) => code === 0).length;
    expect(after.ext).toMatchObject({ queueOffset: String(1 + kept) });
    await region.stop();
  });
});

describe('a disk that fails', () => {
  test.each(['ASYNC_FLUSH', 'SYNC_FLUSH'])(
    'with %s no send is acknowledged any more',
    async (mode) => {
      const disk = new BrokenDisk();
      const region = await brokerOn(disk, { flushDiskType: mode });
      await region.send('disk', 'before');
      disk.failure = 'EIO';
      const answers = await Promise.all([1, 2, 3].map((n) => region.send('disk', `lost ${n}`)));
      for (const answer of answers) expect(answer.code).not.toBe(0);
      expect((await region.send('disk', 'later')).code).not.toBe(0);
      expect(region.broker.health().reasons.join()).toMatch(/failed.*EIO/);
      expect(bodiesOf(await region.pull('disk', 0))).toEqual(['before']);
      disk.failure = undefined;
      await region.stop();
    },
  );
});

describe('a slow disk', () => {
  test('with SYNC_FLUSH the answer waits for the disk, and after syncFlushTimeout is 10', async () => {
    const disk = new BrokenDisk();
    const region = await brokerOn(disk, { flushDiskType: 'SYNC_FLUSH', syncFlushTimeout: 300 });
    await region.send('disk', 'before');
    disk.isHeld = true;
    const answer = watch(region.send('disk', 'slow'));
    await eventually(() => (disk.heldWrites > 0 ? true : undefined));
    expect(answer.answer).toBeUndefined();
    const late = await eventually(() => answer.answer);
    expect(late.code).toBe(ResponseCode.FLUSH_DISK_TIMEOUT);
    expect(late.ext).toMatchObject({ queueOffset: '1', queueId: '0' });
    disk.isHeld = false;
    while (disk.heldWrites > 0) disk.releaseNewest();
    await eventually(async () =>
      bodiesOf(await region.pull('disk', 0)).length === 2 ? true : undefined,
    );
    await region.stop();
  });

  test('with ASYNC_FLUSH a send behind a stuck disk is answered 10 too, and not left out', async () => {
    const disk = new BrokenDisk();
    const region = await brokerOn(disk, { syncFlushTimeout: 300 });
    await region.send('disk', 'before');
    disk.isHeld = true;
    const large = Buffer.alloc(600_000, 1);
    const late = await region.send('disk', large);
    expect(late.code).toBe(ResponseCode.FLUSH_DISK_TIMEOUT);
    expect(late.ext).toMatchObject({ queueOffset: '1', queueId: '0' });
    expect((await region.send('disk', 'behind it')).code).toBe(ResponseCode.FLUSH_DISK_TIMEOUT);
    disk.isHeld = false;
    while (disk.heldWrites > 0) disk.releaseNewest();
    // It may be stored, says the code; here it was.
    const stored = await eventually(async () => {
      const bounds = region.broker.store.bounds({ topic: 'disk', queueId: 0 });
      return bounds?.max === 3 ? bounds : undefined;
    });
    expect(stored.min).toBe(0);
    await region.stop();
  });

  test('with ASYNC_FLUSH a reply never leaves before its write', async () => {
    const disk = new BrokenDisk();
    const region = await brokerOn(disk);
    await region.send('disk', 'before');
    disk.isHeld = true;
    const large = Buffer.alloc(600_000, 1);
    const answer = watch(region.send('disk', large));
    await eventually(() => (disk.heldWrites > 0 ? true : undefined));
    // Any other request is answered meanwhile, so this reply had every chance to leave.
    for (let n = 0; n < 20; n++) await region.call(30, { topic: 'disk', queueId: 0 });
    expect(answer.answer).toBeUndefined();
    disk.isHeld = false;
    while (disk.heldWrites > 0) disk.releaseNewest();
    expect((await eventually(() => answer.answer)).code).toBe(0);
    await region.stop();
  });
});

describe('a disk that does not keep up (osPageCacheBusyTimeOutMills)', () => {
  test('sends are refused with 2 before anything of them is stored, and taken again', async () => {
    const disk = new BrokenDisk();
    const region = await brokerOn(disk, { osPageCacheBusyTimeOutMills: 50 });
    await region.send('busy', 'first');
    disk.isHeld = true;
    // Large enough to be written in the background.
    const caught = watch(region.send('busy', Buffer.alloc(600_000, 1)));
    await eventually(() => (disk.heldWrites > 0 ? true : undefined));
    const answers: RemotingCommand[] = [];
    const refused = await eventually(() => {
      // Those that come before the limit are appended and wait for the disk: they are not refused later.
      void region.send('busy', 'small').then((answer) => answers.push(answer));
      return answers[0];
    });
    expect(refused.code).toBe(ResponseCode.SYSTEM_BUSY);
    expect(refused.remark).toMatch(/^\[REJECTREQUEST\]/);
    const end = region.broker.store.storeBounds().maxOffset;
    for (const code of [10, 310, 320, 36, 370]) {
      expect((await region.call(code, {}, 'x')).code).toBe(ResponseCode.SYSTEM_BUSY);
    }
    expect(region.broker.store.storeBounds().maxOffset).toBe(end);
    // Readers are served on.
    expect((await region.pull('busy', 0)).code).toBe(0);
    disk.isHeld = false;
    disk.releaseNewest();
    await eventually(() => caught.answer);
    expect(caught.answer?.code).toBe(0);
    const kept = () => answers.filter(({ code }) => code === 0).length;
    await eventually(async () =>
      (await region.send('busy', 'last')).code === 0 ? true : undefined,
    );
    // Every record has its success, every refusal none: a refused message is not there twice.
    const { max } = region.broker.store.bounds({ topic: 'busy', queueId: 0 }) ?? { max: 0 };
    expect(max).toBe(1 + 1 + kept() + 1);
    await region.stop();
  });
});
