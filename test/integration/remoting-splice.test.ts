// Splicing two sockets: order, half-close, back-pressure, resets.
import * as net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { DrError } from '../../core-broker/base/index.ts';
import { splice } from '../../core-broker/remoting/index.ts';
import { patiently } from '../support/patiently.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const closed = (socket: net.Socket): Promise<void> =>
  new Promise((resolve) => socket.once('close', () => resolve()));

describe('splice', () => {
  /** client -> front (spliced to) back; returns both ends as the programs outside see them. */
  async function joined(bufferBytesMax?: number) {
    const backSide = new Promise<net.Socket>((resolve) => {
      const back = net.createServer({ allowHalfOpen: true }, resolve).listen(0, '127.0.0.1');
      closers.push(() => back.close());
      back.once('listening', () => open((back.address() as net.AddressInfo).port));
    });
    let open: (port: number) => void = () => undefined;
    const ends: (DrError | undefined)[] = [];
    const outside = await new Promise<net.Socket>((resolve) => {
      open = (backPort) => {
        const front = net.createServer({ pauseOnConnect: true }, (socket) => {
          const upstream = net.connect(backPort, '127.0.0.1');
          upstream.once('connect', () => {
            splice(socket, upstream, {
              onClose: (reason) => void ends.push(reason),
              ...(bufferBytesMax === undefined ? {} : { bufferBytesMax }),
            });
          });
        });
        front.listen(0, '127.0.0.1', () => {
          const { port } = front.address() as net.AddressInfo;
          const made = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
          made.once('connect', () => resolve(made));
        });
        closers.push(() => front.close());
      };
    });
    const inside = await backSide;
    for (const socket of [outside, inside]) {
      socket.on('error', () => socket.destroy());
      closers.push(() => socket.destroy());
    }
    return { outside, inside, ends };
  }

  test('bytes keep their order and half-close passes on both ways', async () => {
    const { outside, inside, ends } = await joined(64 * 1024);
    const sent = Buffer.alloc(8 * 1024 * 1024);
    for (let i = 0; i < sent.length; i += 4) sent.writeInt32BE(i, i);
    const got: Buffer[] = [];
    inside.pause();
    outside.end(sent);
    inside.on('data', (chunk) => got.push(chunk));
    inside.on('end', () => inside.end('answer after your end'));
    const back: Buffer[] = [];
    outside.on('data', (chunk) => back.push(chunk));
    inside.resume();
    await patiently(() => expect(ends).toEqual([undefined]));
    expect(Buffer.concat(got).equals(sent)).toBe(true);
    expect(Buffer.concat(back).toString()).toBe('answer after your end');
  });

  test('a reader that stops holds the sender back', async () => {
    const { outside, inside } = await joined(64 * 1024);
    inside.pause();
    let written = 0;
    const block = Buffer.alloc(1024 * 1024);
    while (written < 256 && outside.write(block)) written++;
    outside.write(block);
    let drained = false;
    outside.once('drain', () => {
      drained = true;
    });
    for (let i = 0; i < 64; i++) outside.write(block);
    await expect
      .poll(() => {
        const before = outside.bytesWritten - outside.writableLength;
        const settle = (): boolean => outside.bytesWritten - outside.writableLength === before;
        return new Promise((resolve) => setTimeout(() => resolve(settle()), 50));
      })
      .toBe(true);
    expect(drained).toBe(false);
    expect(outside.writableLength).toBeGreaterThan(0);
    inside.resume();
    await patiently(() => expect(outside.writableLength).toBe(0));
  });

  test('a reset of one side ends the other and is reported once', async () => {
    const { outside, inside, ends } = await joined();
    outside.write('hello');
    await new Promise((resolve) => inside.once('data', resolve));
    outside.resetAndDestroy();
    await closed(inside);
    await patiently(() => expect(ends).toHaveLength(1));
    expect(ends[0]).toMatchObject({ code: 'NETWORK' });
  });
});
