// The boot check: silence never opens a store, an answer does, a higher epoch closes it for good.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import { PeerWatch } from '../../../core-broker/broker/dr/roles/peer-watch.ts';
import { DR_CODE } from '../../../core-broker/protocol/index.ts';
import { FileEpochGuard } from '../../../core-broker/store/guard/epoch-guard.ts';
import { type FakeBroker, fakeBroker } from './fake-parts.ts';

let broker: FakeBroker;
let answers: Map<string, object>;
let nowMs: number;
const changes: string[] = [];

const status = (role: string, epoch: number, more: object = {}) => ({
  role,
  region: 'west',
  epoch,
  activeEpoch: epoch,
  activeRegion: role === 'active' ? 'west' : 'east',
  storeId: 'other-store',
  ...more,
});

function watch(leaseMs = 0): PeerWatch {
  return new PeerWatch({
    guard: broker.guard,
    known: broker.known,
    client: {
      control: async <T>(address: string, request: { code: number }) => {
        const answer = answers.get(`${address} ${request.code}`);
        if (answer === undefined) throw new DrError('NETWORK', 'unreachable');
        return answer as T;
      },
      close: () => undefined,
    },
    ownRegion: 'east',
    brokers: ['peer'],
    globalNameservers: ['ns'],
    leaseMs,
    monotonicMs: () => nowMs,
    onChange: (change) => changes.push(change),
  });
}

const peerSays = (answer: object) => answers.set(`peer ${DR_CODE.STATUS}`, answer);
const nameserverSays = (answer: object) => answers.set(`ns ${DR_CODE.FLIP_STATUS}`, answer);

beforeEach(() => {
  broker = fakeBroker();
  answers = new Map();
  nowMs = 0;
  changes.length = 0;
});
afterEach(() => broker.close());

describe('boot check', () => {
  it('stays closed when nobody answers and says what the operator can do', async () => {
    const one = watch();
    await one.ask();
    await one.ask();
    expect(broker.guard.writeState).toBe('closed');
    expect(one.reasons[0]).toContain('dr activate --epoch 1');
  });

  it('opens at one answer with no higher epoch', async () => {
    peerSays(status('standby', 1));
    await watch().ask();
    expect(broker.guard.writeState).toBe('open');
    expect(changes).toContain('opened');
  });

  it('opens on the word of a name server alone', async () => {
    nameserverSays({ region: 'east', epoch: 1, moved: 0 });
    await watch().ask();
    expect(broker.guard.writeState).toBe('open');
  });

  it('is deposed durably by one higher epoch though another answer knows of none', async () => {
    peerSays(status('active', 2));
    nameserverSays({ region: 'east', epoch: 1, moved: 0 });
    await watch().ask();
    expect(broker.guard.writeState).toBe('deposed');
    const again = FileEpochGuard.load(
      { file: `${broker.root}/drEpoch`, region: 'east', initialRole: 'active' },
      0,
      false,
    );
    expect(again.writeState).toBe('deposed');
    expect(again.state.deposedBy).toEqual({ region: 'west', epoch: 2 });
  });

  it('does not open beside a rival of the same epoch, nor beside a copy of itself', async () => {
    peerSays(status('active', 1));
    const one = watch();
    await one.ask();
    expect(broker.guard.writeState).toBe('closed');
    expect(one.reasons[0]).toContain('west is active at the same epoch');
    peerSays(status('standby', 1, { storeId: broker.guard.state.storeId }));
    await one.ask();
    expect(broker.guard.writeState).toBe('closed');
  });

  it('closes a side that writes when a cut heals and a successor appears', async () => {
    peerSays(status('standby', 1));
    const one = watch();
    await one.ask();
    peerSays(status('active', 2));
    await one.ask();
    expect(broker.guard.writeState).toBe('deposed');
  });

  it('leaves a standby a standby', async () => {
    broker.close();
    broker = fakeBroker('standby');
    peerSays(status('active', 7));
    await watch().ask();
    expect(broker.guard.writeState).toBe('standby');
    expect(broker.known.active).toEqual({ region: 'west', epoch: 7 });
  });
});

describe('a disk that takes no epoch file', () => {
  it('keeps the store closed and the watch alive until it does', async () => {
    peerSays(status('standby', 1));
    const one = watch();
    await one.ask();
    const obstacle = path.join(broker.root, 'drEpoch.tmp');
    fs.mkdirSync(obstacle);
    expect(() => broker.guard.seal('op')).toThrow();
    expect(broker.guard.writeState).toBe('closed');
    await one.ask();
    expect(broker.guard.writeState).toBe('closed');
    expect(one.reasons[0]).toContain('cannot be written');
    fs.rmdirSync(obstacle);
    await one.ask();
    expect(broker.guard.writeState).toBe('open');
  });
});

describe('lease', () => {
  it('runs out when nobody answers for its length and comes back with an answer', async () => {
    peerSays(status('standby', 1));
    const one = watch(1_000);
    await one.ask();
    answers.clear();
    nowMs = 999;
    await one.ask();
    expect(one.leaseHolds()).toBe(true);
    nowMs = 1_000;
    await one.ask();
    expect(one.leaseHolds()).toBe(false);
    expect(changes.at(-1)).toBe('lease-lost');
    peerSays(status('standby', 1));
    await one.ask();
    expect(one.leaseHolds()).toBe(true);
  });

  it('does not bind a side the operator activated until somebody answers', async () => {
    const one = watch(1_000);
    one.suspendLease();
    nowMs = 5_000;
    await one.ask();
    expect(one.leaseHolds()).toBe(true);
  });
});
