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
  test('writes are refused with 14, reads go on, and it recovers when there is room', async () => {
    const disk = new BrokenDisk();
    const region = await brokerOn(disk);
    await region.send('disk', 'before');
    disk.roomBytes = 0;
    const caught = watch(region.send('disk', 'caught'));
    // What was appended in the moment the disk filled waits; what comes after it is refused.
    const tries: ReturnType<typeof watch>[] = [];
    const refused = await eventually(() => {
      tries.push(watch(region.send('disk', `try ${tries.length}`)));
      return tries.map((one) => one.answer).find((answer) => answer !== undefined);
    });
    expect(refused.code).toBe(ResponseCode.SERVICE_NOT_AVAILABLE);
    expect(caught.answer).toBeUndefined();
    expect(bodiesOf(await region.pull('disk', 0))).toEqual(['before']);
    expect((await region.call(14, { consumerGroup: 'g', topic: 'disk', queueId: 0 })).code).toBe(0);
    disk.roomBytes = Number.POSITIVE_INFINITY;
    const late = await eventually(() => caught.answer);
    expect(late.code).toBe(0);
    await eventually(async () =>
      (await region.send('disk', 'after')).code === 0 ? true : undefined,
    );
    const bodies = bodiesOf(await region.pull('disk', 0));
    expect(bodies.slice(0, 2)).toEqual(['before', 'caught']);
    const stored = tries.filter((one) => one.answer?.code === 0).length;
    expect(bodies.filter((body) => body.startsWith('try'))).toHaveLength(stored);
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
