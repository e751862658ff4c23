// What becomes of the memory of a read: given back at once when no frame of it was shown to anybody, never
// otherwise, and never the buffer that all sockets share.
import * as net from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { encodeRequest } from '../../core-broker/protocol/index.ts';
import { type FrameListener, RemotingServer } from '../../core-broker/remoting/index.ts';
import { until } from '../support/until.ts';

const FRAMES = 3_000;
/** A frame of two reads lies in memory of the reader, which is used again. */
const READERS_OWN_BYTES = 1_024;
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Seen {
  /** Every chunk that a run was offered, and one view per frame that was shown. */
  chunks: Set<Buffer>;
  shown: Buffer[];
  runs: number;
  count: number;
}

const body = (n: number): Buffer => Buffer.alloc(300, n % 251);

/** Takes runs of whole frames, but leaves every `leaves`-th to onFrame. */
function listenerFor(seen: Seen, leaves: number): FrameListener {
  let next = 0;
  return {
    onFrames: (_, chunk, start, end) => {
      if (chunk.length !== READERS_OWN_BYTES) seen.chunks.add(chunk);
      let at = start;
      while (end - at >= 4 && at + 4 + chunk.readInt32BE(at) <= end && (next + 1) % leaves !== 0) {
        at += 4 + chunk.readInt32BE(at);
        next++;
        seen.runs++;
        seen.count++;
      }
      return at;
    },
    onFrame: (_, chunk, start, end) => {
      next++;
      expect(end - start).toBeGreaterThan(300);
      seen.count++;
      if (seen.chunks.has(chunk)) seen.shown.push(chunk.subarray(end - 300, end));
    },
  };
}

async function pour(receive: 'events' | 'reused', leaves: number): Promise<Seen> {
  const seen: Seen = { chunks: new Set(), shown: [], runs: 0, count: 0 };
  const listener = listenerFor(seen, leaves);
  const server = new RemotingServer({ host: '127.0.0.1', port: 0, listener, receive });
  await server.listen();
  closers.push(() => server.close());
  const socket = net.connect(server.port, '127.0.0.1');
  closers.push(() => socket.destroy());
  const frames = Array.from({ length: FRAMES }, (_, n) =>
    encodeRequest({ code: 310, ext: { n: String(n) }, body: body(n) }, n),
  );
  socket.write(Buffer.concat(frames));
  await until(() => seen.count === FRAMES, 'every frame');
  return seen;
}

test('a chunk whose frames all went in runs is given back', async () => {
  const { chunks, runs, shown } = await pour('events', Number.POSITIVE_INFINITY);
  expect(runs).toBeGreaterThan(FRAMES / 2);
  const kept = [...chunks].filter((chunk) => chunk.length > 0);
  expect(kept.length).toBeLessThanOrEqual(shown.length);
  expect(kept.length).toBeLessThan(chunks.size);
});

test('a chunk with one frame that was shown stays as it is', async () => {
  const { shown } = await pour('events', 20);
  expect(shown.length).toBeGreaterThan(FRAMES / 30);
  for (const view of shown) expect(view.length).toBe(300);
  for (const view of shown) expect(view.equals(body(view[0] as number))).toBe(true);
});

test('the buffer of all sockets is never given back', async () => {
  const { chunks } = await pour('reused', Number.POSITIVE_INFINITY);
  for (const chunk of chunks) expect(chunk.length).toBe(128 * 1024);
});
