// Parked sends: first in, first out; each leaves exactly once; bytes and time are bounded.
import { describe, expect, it } from 'vitest';
import { Parking } from '../../../core-broker/broker/dr/parking.ts';
import type { ServerConnection } from '../../../core-broker/remoting/index.ts';

const connection = (id: number) => ({ id }) as ServerConnection;
const text = (value: string) => Buffer.from(value);

describe('Parking', () => {
  it('gives frames back in the order of their arrival, over all connections', () => {
    const parking = new Parking();
    const [one, two] = [connection(1), connection(2)];
    parking.park(one, text('a'), 0);
    parking.park(two, text('b'), 0);
    parking.park(one, text('c'), 0);
    const order: string[] = [];
    for (let next = parking.takeFirst(); next; next = parking.takeFirst()) {
      order.push(next.frame.toString());
    }
    expect(order).toEqual(['a', 'b', 'c']);
    expect(parking.count).toBe(0);
  });

  it('hands one connection over whole and never gives its frames out again', () => {
    const parking = new Parking();
    const [one, two] = [connection(1), connection(2)];
    parking.park(one, text('a'), 0);
    parking.park(two, text('b'), 0);
    parking.park(one, text('c'), 0);
    expect(parking.has(one)).toBe(true);
    expect(parking.takeAllOf(one).map(String)).toEqual(['a', 'c']);
    expect(parking.has(one)).toBe(false);
    expect(parking.takeAllOf(one)).toEqual([]);
    expect(parking.takeFirst()?.frame.toString()).toBe('b');
    expect(parking.takeFirst()).toBeUndefined();
  });

  it('does not hand over what was already released', () => {
    const parking = new Parking();
    const one = connection(1);
    parking.park(one, text('a'), 0);
    parking.park(one, text('b'), 0);
    parking.takeFirst();
    expect(parking.takeAllOf(one).map(String)).toEqual(['b']);
  });

  it('refuses above its bytes and has room again when frames left', () => {
    const parking = new Parking({ bytesMax: 10 });
    const one = connection(1);
    expect(parking.park(one, Buffer.alloc(6), 0)).toBe(true);
    expect(parking.park(one, Buffer.alloc(6), 0)).toBe(false);
    parking.takeFirst();
    expect(parking.park(one, Buffer.alloc(6), 0)).toBe(true);
  });

  it('takes out exactly those that waited too long', () => {
    const parking = new Parking({ waitMs: 100 });
    const one = connection(1);
    parking.park(one, text('old'), 0);
    parking.park(one, text('new'), 50);
    expect(parking.takeExpired(99)).toEqual([]);
    expect(parking.takeExpired(100).map((parked) => parked.frame.toString())).toEqual(['old']);
    expect(parking.takeFirst()?.frame.toString()).toBe('new');
  });
});
