// Membership of groups and queue locks.
import { describe, expect, test } from 'vitest';
import { ConsumerTable, QueueLocks } from '../../../core-broker/broker/clients/index.ts';
import { type ConsumerData, tagSubscription } from '../../../core-broker/protocol/index.ts';
import type { ServerConnection } from '../../../core-broker/remoting/index.ts';

const presence = (topics: string[], subVersion = 1): ConsumerData => ({
  groupName: 'G',
  consumeType: 'CONSUME_PASSIVELY',
  messageModel: 'CLUSTERING',
  consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
  subscriptionDataSet: topics.map((topic) => tagSubscription(topic, `v${subVersion}`, subVersion)),
  unitMode: false,
});
const channel = (id: number, clientId = `c${id}`) => ({
  connection: { id } as ServerConnection,
  clientId,
  language: 'JAVA',
  version: 479,
  lastUpdateMs: id,
});
const flushed = () => new Promise((resolve) => setImmediate(resolve));

describe('consumer groups', () => {
  test('a change is reported once per tick, whatever made it', async () => {
    const reported: string[] = [];
    const table = new ConsumerTable((group) => reported.push(group.name));
    table.register(presence(['T']), channel(1));
    table.register(presence(['T']), channel(2));
    await flushed();
    expect(reported).toEqual(['G']);
    table.register(presence(['T']), channel(2));
    await flushed();
    expect(reported).toEqual(['G']);
    table.register(presence(['T', 'U']), channel(2));
    await flushed();
    expect(reported).toEqual(['G', 'G']);
  });

  test('a newer subscription wins, an older one does not, a dropped topic leaves', () => {
    const table = new ConsumerTable(() => undefined);
    table.register(presence(['T', 'U'], 5), channel(1));
    table.register(presence(['T'], 4), channel(1));
    expect([...(table.find('G')?.subscriptions.keys() ?? [])]).toEqual(['T']);
    expect(table.find('G')?.subscriptions.get('T')?.subString).toBe('v5');
  });

  test('a closed connection leaves all its groups; the last one ends the group', async () => {
    const reported: number[] = [];
    const table = new ConsumerTable((group) => reported.push(group.channels.size));
    table.register(presence(['T']), channel(1));
    table.register(presence(['T']), channel(2));
    await flushed();
    table.forget(channel(1).connection);
    await flushed();
    expect(reported).toEqual([2, 1]);
    expect(table.clientIds('G')).toEqual(['c2']);
    table.forget(channel(2).connection);
    expect(table.find('G')).toBeUndefined();
  });

  test('a client on two connections counts once', () => {
    const table = new ConsumerTable(() => undefined);
    table.register(presence(['T']), channel(1, 'same'));
    table.register(presence(['T']), channel(2, 'same'));
    expect(table.clientIds('G')).toEqual(['same']);
    expect(table.silentSince(2).map((one) => one.connection.id)).toEqual([1]);
  });
});

describe('queue locks', () => {
  test('a lock belongs to one client until it is released or 60 s old', () => {
    let nowMs = 0;
    const locks = new QueueLocks({ nowMs: () => nowMs, monotonicMs: () => nowMs });
    expect(locks.take('G', 'q', 'a')).toBe(true);
    expect(locks.take('G', 'q', 'b')).toBe(false);
    nowMs = 59_000;
    expect(locks.take('G', 'q', 'a')).toBe(true);
    nowMs = 119_000;
    expect(locks.take('G', 'q', 'b')).toBe(false);
    nowMs = 119_001;
    expect(locks.take('G', 'q', 'b')).toBe(true);
    locks.release('G', 'q', 'a');
    expect(locks.isLocked('G')).toBe(true);
    locks.release('G', 'q', 'b');
    expect(locks.isLocked('G')).toBe(false);
  });
});
