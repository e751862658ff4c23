// Ports that tests and the demo give to processes they start: nobody gets one twice while its owner lives.
import * as dgram from 'node:dgram';
import { expect, test } from 'vitest';
import { freePort } from '../../../cli/demo/process.ts';

const SPACED = [0, -2, 1];

/** What another process sees that asks for the port. */
const isMarked = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = dgram.createSocket('udp4');
    socket.once('error', () => resolve(true));
    socket.bind({ port, address: '127.0.0.1', exclusive: true }, () =>
      socket.close(() => resolve(false)),
    );
  });

test('a port that was given is marked for every other process, with those a broker takes beside it', async () => {
  const given = new Set<number>();
  for (let i = 0; i < 100; i++) {
    const isSpaced = i % 2 === 0;
    const port = await freePort(isSpaced);
    for (const taken of isSpaced ? SPACED.map((step) => port + step) : [port]) {
      expect(given.has(taken)).toBe(false);
      given.add(taken);
      expect(await isMarked(taken)).toBe(true);
    }
  }
});
