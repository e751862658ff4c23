// The registration rules of a name server, on the pure table.
import { describe, expect, test } from 'vitest';
import { RouteTable } from '../../../core-broker/nameserver/route/route-table.ts';
import { registration, topic, version } from '../../support/registration.ts';

const rules = () => ({ supportActingMaster: false, deleteTopicWithBrokerRegistration: false });
const queues = (table: RouteTable, name: string, broker = 'broker-a') =>
  table.topics.get(name)?.get(broker);

describe('registration', () => {
  test('a master brings its queues, a slave does not', () => {
    const table = new RouteTable(rules());
    table.register(registration({ brokerId: 1, topicNames: ['orders', 'x'] }), 1, 0);
    expect(table.topics.size).toBe(0);
    table.register(registration({ brokerAddr: '10.0.0.2:10911' }), 2, 0);
    expect(queues(table, 'orders')?.perm).toBe(6);
    expect(table.brokers.get('broker-a')?.addrs.size).toBe(2);
  });

  test('a slave is told the address of its live master', () => {
    const table = new RouteTable(rules());
    table.register(registration(), 1, 0);
    const slave = registration({ brokerId: 1, brokerAddr: '10.0.0.2:10911' });
    expect(table.register(slave, 2, 0)).toMatchObject({
      kind: 'taken',
      masterAddr: '10.0.0.1:10911',
      haServerAddr: '10.0.0.1:10912',
    });
  });

  test('an address stands under one id: a promoted slave leaves its old id', () => {
    const table = new RouteTable(rules());
    table.register(registration({ brokerId: 1 }), 1, 0);
    table.register(registration({ brokerId: 0 }), 1, 0);
    expect([...(table.brokers.get('broker-a')?.addrs ?? [])]).toEqual([[0, '10.0.0.1:10911']]);
    expect(queues(table, 'orders')).toBeDefined();
  });

  test('a smaller stateVersion never displaces a larger one, and has no effect at all', () => {
    const table = new RouteTable(rules());
    table.register(registration({ dataVersion: version(1, 7) }), 1, 0);
    const old = registration({
      brokerAddr: '10.0.0.9:10911',
      dataVersion: version(99, 6),
      topicNames: ['orders', 'stolen'],
    });
    expect(table.register(old, 2, 0)).toEqual({ kind: 'fenced', heldBy: '10.0.0.1:10911' });
    expect(table.brokers.get('broker-a')?.addrs.get(0)).toBe('10.0.0.1:10911');
    expect(queues(table, 'stolen')).toBeUndefined();
    expect(table.liveBroker('C', '10.0.0.9:10911')).toBeUndefined();
  });

  test('a larger or equal stateVersion takes the id over', () => {
    const table = new RouteTable(rules());
    table.register(registration({ dataVersion: version(1, 7) }), 1, 0);
    const next = registration({ brokerAddr: '10.0.0.9:10911', dataVersion: version(1, 8) });
    expect(table.register(next, 2, 0).kind).toBe('taken');
    expect(table.brokers.get('broker-a')?.addrs.get(0)).toBe('10.0.0.9:10911');
  });

  test('a dead holder fences nobody', () => {
    const table = new RouteTable(rules());
    table.register(registration({ dataVersion: version(1, 7) }), 1, 0);
    table.unregister('C', '10.0.0.1:10911', 'broker-a');
    const next = registration({ brokerAddr: '10.0.0.9:10911', dataVersion: version(1, 1) });
    expect(table.register(next, 2, 0).kind).toBe('taken');
  });

  test('one topic alone is refused from an unknown broker, taken from a known one', () => {
    const table = new RouteTable(rules());
    const one = registration({ topicNames: ['late'], dataVersion: version(2) });
    expect(table.register(one, 1, 0).kind).toBe('refused');
    expect(table.brokers.size).toBe(0);
    expect(table.register(registration({ topicNames: [] }), 1, 0).kind).toBe('taken');
    expect(table.register(one, 1, 0).kind).toBe('taken');
    expect(queues(table, 'late')).toBeDefined();
  });

  test('queues change only with another data version', () => {
    const table = new RouteTable(rules());
    table.register(registration(), 1, 0);
    table.setWritable('broker-a', false);
    table.register(registration(), 1, 0);
    expect(queues(table, 'orders')?.perm).toBe(4);
    table.register(registration({ dataVersion: version(2) }), 1, 0);
    expect(queues(table, 'orders')?.perm).toBe(6);
  });

  test('a topic that went missing comes back with the next registration', () => {
    const table = new RouteTable(rules());
    table.register(registration(), 1, 0);
    table.deleteTopic('orders', undefined);
    table.register(registration(), 1, 0);
    expect(queues(table, 'orders')).toBeDefined();
  });

  test('a full registration removes topics only when told so', () => {
    for (const deleteTopicWithBrokerRegistration of [true, false]) {
      const table = new RouteTable({ ...rules(), deleteTopicWithBrokerRegistration });
      table.register(registration({ topicNames: ['a', 'b', 'c'] }), 1, 0);
      table.register(registration({ topicNames: ['a', 'b'], dataVersion: version(2) }), 1, 0);
      expect(table.topics.has('c')).toBe(!deleteTopicWithBrokerRegistration);
    }
  });

  test('the smallest slave with acting master brings read-only queues', () => {
    const table = new RouteTable(rules());
    const slave = { brokerId: 2, enableActingMaster: true };
    table.register(registration(slave), 1, 0);
    expect(queues(table, 'orders')?.perm).toBe(4);
  });
});

describe('going away', () => {
  test('a renamed broker leaves its old name', () => {
    const table = new RouteTable(rules());
    table.register(registration(), 1, 0);
    table.register(registration({ brokerName: 'renamed' }), 1, 0);
    expect([...table.brokers.keys()]).toEqual(['renamed']);
    expect(queues(table, 'orders')).toBeUndefined();
    expect(queues(table, 'orders', 'renamed')).toBeDefined();
  });

  test('the last address of a name takes its queues along', () => {
    const table = new RouteTable(rules());
    table.register(registration(), 1, 0);
    table.register(registration({ brokerName: 'broker-b', brokerAddr: 'b:1' }), 2, 0);
    table.unregister('C', '10.0.0.1:10911', 'broker-a');
    expect(queues(table, 'orders')).toBeUndefined();
    expect(queues(table, 'orders', 'broker-b')).toBeDefined();
    table.unregister('C', 'b:1', 'broker-b');
    expect(table.topics.size).toBe(0);
  });

  test('an address that was displaced does not take its successor along', () => {
    const table = new RouteTable(rules());
    table.register(registration(), 1, 0);
    table.register(registration({ brokerAddr: '10.0.0.9:10911' }), 2, 0);
    table.unregister('C', '10.0.0.1:10911', 'broker-a');
    expect(table.brokers.get('broker-a')?.addrs.get(0)).toBe('10.0.0.9:10911');
  });

  test('a reconnected broker is not unregistered by the end of its old connection', () => {
    const table = new RouteTable(rules());
    table.register(registration(), 1, 0);
    table.register(registration(), 2, 0);
    expect(table.onConnection(1)).toEqual([]);
    expect(table.onConnection(2)).toHaveLength(1);
  });

  test('silence longer than the own timeout expires; a sign of life resets it', () => {
    const table = new RouteTable(rules());
    table.register(registration({ timeoutMs: 10_000 }), 1, 0);
    expect(table.expired(10_000)).toHaveLength(0);
    expect(table.expired(10_001)).toHaveLength(1);
    table.refresh('C', '10.0.0.1:10911', 9_000);
    expect(table.expired(19_000)).toHaveLength(0);
  });

  test('a lost master with acting master leaves the group read-only', () => {
    const table = new RouteTable(rules());
    table.register(registration({ enableActingMaster: true }), 1, 0);
    table.register(
      registration({ enableActingMaster: true, brokerId: 1, brokerAddr: 's:1' }),
      2,
      0,
    );
    const change = table.unregister('C', '10.0.0.1:10911', 'broker-a');
    expect(queues(table, 'orders')?.perm).toBe(4);
    expect(change).toMatchObject({ minBrokerId: 1, targets: ['s:1'] });
  });
});

describe('administration', () => {
  test('deleteTopic with a cluster leaves the other clusters alone', () => {
    const table = new RouteTable(rules());
    table.register(registration(), 1, 0);
    table.register(
      registration({ brokerName: 'broker-d', brokerAddr: 'd:1', clusterName: 'D' }),
      2,
      0,
    );
    table.deleteTopic('orders', 'D');
    expect([...(table.topics.get('orders')?.keys() ?? [])]).toEqual(['broker-a']);
  });

  test('wipe and add count the topics of the broker', () => {
    const table = new RouteTable(rules());
    const changed = new Map([
      ['ro', topic('ro', { perm: 4 })],
      ['rw', topic('rw')],
    ]);
    table.register(registration({ topics: changed }), 1, 0);
    expect(table.setWritable('broker-a', false)).toBe(2);
    expect(queues(table, 'rw')?.perm).toBe(4);
    expect(table.setWritable('broker-a', true)).toBe(2);
    expect(queues(table, 'ro')?.perm).toBe(6);
    expect(table.setWritable('nobody', false)).toBe(0);
  });
});
