// What is given up stays given up: the list on disk, its bound, a damaged file; and a promotion whose
// write failed half-way is decided on disk before anybody is told that it did not happen.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import type { LinkControl } from '../../../core-broker/broker/door.ts';
import { LinkDesk } from '../../../core-broker/broker/dr/roles/link-desk.ts';
import { RetiredOps } from '../../../core-broker/broker/dr/roles/retired-ops.ts';
import { readEpochFile } from '../../../core-broker/store/index.ts';
import { type FakeBroker, fakeBroker } from './fake-parts.ts';

let broker: FakeBroker;
beforeEach(() => {
  broker = fakeBroker('standby');
});
afterEach(() => broker.close());

const REFUSED = { code: 'REFUSED' };
const retired = () => new RetiredOps(broker.root);

describe('retired operations', () => {
  it('are remembered by the next process, the newest 64', () => {
    const ops = retired();
    for (let i = 0; i < 70; i++) ops.retire(`op-${i}`);
    const again = retired();
    expect(again.has('op-5')).toBe(false);
    for (let i = 6; i < 70; i++) expect(() => again.refuse(`op-${i}`)).toThrow('aborted');
  });

  it('that could not be written fail, count at once and are written by the next try', () => {
    const ops = retired();
    const obstacle = path.join(broker.root, 'drRetired.tmp');
    fs.mkdirSync(obstacle);
    expect(() => ops.retire('op')).toThrow();
    expect(ops.has('op')).toBe(true);
    expect(retired().has('op')).toBe(false);
    fs.rmdirSync(obstacle);
    ops.retire('op');
    expect(retired().has('op')).toBe(true);
  });

  it('begin anew behind a damaged file', () => {
    fs.writeFileSync(path.join(broker.root, 'drRetired'), '["op');
    const ops = retired();
    expect(ops.has('op')).toBe(false);
    ops.retire('op');
    expect(retired().has('op')).toBe(true);
  });
});

describe('a promotion whose write failed', () => {
  const obstacle = () => path.join(broker.root, 'drEpoch.tmp');
  let haltedBy: string | undefined;
  const desk = (): LinkDesk => {
    const link = {
      ready: async () => undefined,
      report: () => ({ state: haltedBy ? 'halted' : 'following', haltedBy }),
      halt: async ({ opId }: { opId: string }) => {
        haltedBy = opId;
      },
      resume: async () => {
        haltedBy = undefined;
      },
    } as unknown as LinkControl;
    return new LinkDesk({ guard: broker.guard, retired: retired(), link: () => link });
  };

  it('is given up only once the disk says that it did not happen', async () => {
    const links = desk();
    await links.halt({ opId: 'op' });
    fs.mkdirSync(obstacle());
    const change = { opId: 'op', fromEpoch: 0, startOffset: 0 };
    expect(() => broker.guard.promote(change)).toThrow();
    // The disk may have taken it: from here a restart could come up as the active side.
    expect(broker.guard.writeState).toBe('closed');
    await expect(links.resume({ opId: 'op' })).rejects.toBeInstanceOf(DrError);
    expect(haltedBy).toBe('op');
    fs.rmdirSync(obstacle());
    await links.resume({ opId: 'op' });
    expect(broker.guard.writeState).toBe('standby');
    expect(readEpochFile(broker.root)).toMatchObject({ role: 'standby', epoch: 0 });
    await expect(links.halt({ opId: 'op' })).rejects.toMatchObject(REFUSED);
    await expect(links.requireHalt('op')).rejects.toMatchObject(REFUSED);
  });

  it('that did happen is not given up', async () => {
    const links = desk();
    await links.halt({ opId: 'op' });
    await links.requireHalt('op');
    broker.guard.promote({ opId: 'op', fromEpoch: 0, startOffset: 0 });
    await expect(links.resume({ opId: 'op' })).rejects.toMatchObject(REFUSED);
    expect(retired().has('op')).toBe(false);
  });
});
