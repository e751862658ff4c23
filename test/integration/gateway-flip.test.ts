// A gateway over real sockets: splicing, flips with open connections, dead brokers, restarts, rubbish.
import { once } from 'node:events';
import * as net from 'node:net';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { createNameServer, regionalConfig } from '../../core-broker/nameserver/index.ts';
import { DR_CODE, type FlipResult } from '../../core-broker/protocol/index.ts';
import type { Gateway } from '../../switchover/gateway/index.ts';
import { DrParts, freePort } from '../support/dr-parts.ts';

const parts = new DrParts();
const backends: Backend[] = [];
afterAll(async () => {
  await parts.close();
  for (const backend of backends) await backend.close();
});

/** Stands for the broker of one region: says its name first, then echoes. */
class Backend {
  readonly name: string;
  readonly sockets = new Set<net.Socket>();
  #server: net.Server | undefined;

  constructor(name: string) {
    this.name = name;
    backends.push(this);
  }

  async listen(port = 0): Promise<string> {
    const server = net.createServer((socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => socket.destroy());
      socket.write(`${this.name}\n`);
      socket.pipe(socket);
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    this.#server = server;
    return `127.0.0.1:${(server.address() as net.AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    const server = this.#server;
    this.#server = undefined;
    if (server) await new Promise((done) => server.close(done));
  }
}

/** A client that remembers what it read and when it was closed. */
class Client {
  readonly socket: net.Socket;
  text = '';
  isClosed = false;

  constructor(gateway: Gateway) {
    this.socket = net.connect(gateway.ports.get('broker-a')?.main ?? 0, '127.0.0.1');
    this.socket.on('data', (bytes) => {
      this.text += bytes.toString();
    });
    this.socket.on('error', () => this.socket.destroy());
    this.socket.on('close', () => {
      this.isClosed = true;
    });
  }

  reads = (text: string) => expect.poll(() => this.text).toContain(text);
  closes = () => expect.poll(() => this.isClosed).toBe(true);
}

async function twoRegions() {
  const [east, west] = [new Backend('east'), new Backend('west')];
  return { east, west, regions: { east: await east.listen(), west: await west.listen() } };
}

const flip = (gateway: Gateway, region: string, epoch: number) =>
  parts.dr.control<FlipResult>(gateway.controlAddress, {
    code: DR_CODE.FLIP,
    body: { region, epoch, opId: `op-${epoch}` },
    opId: `op-${epoch}`,
  });
const status = (gateway: Gateway) =>
  parts.dr.control<FlipResult>(gateway.controlAddress, { code: DR_CODE.FLIP_STATUS, body: {} });

describe('splicing', () => {
  test('bytes go both ways, each client on a connection of its own', async () => {
    const { east, regions } = await twoRegions();
    const gateway = await parts.gateway(regions);
    const [one, two] = [new Client(gateway), new Client(gateway)];
    await one.reads('east\n');
    await two.reads('east\n');
    one.socket.write('hello');
    await one.reads('hello');
    expect(two.text).toBe('east\n');
    expect(east.sockets.size).toBe(2);
    one.socket.end();
    await one.closes();
    await expect.poll(() => east.sockets.size).toBe(1);
    two.socket.destroy();
    await expect.poll(() => east.sockets.size).toBe(0);
  });

  test('a client that never reads holds back its broker, and nobody else', async () => {
    const { east, regions } = await twoRegions();
    const gateway = await parts.gateway(regions);
    const deaf = net.connect(gateway.ports.get('broker-a')?.main ?? 0, '127.0.0.1');
    deaf.on('error', () => deaf.destroy());
    await expect.poll(() => east.sockets.size).toBe(1);
    const [source] = east.sockets;
    source?.unpipe();
    const block = Buffer.alloc(1024 * 1024);
    let accepted = 0;
    while (source && source.writableLength < 32 * block.length && accepted < 256) {
      source.write(block);
      accepted++;
      await new Promise((done) => setImmediate(done));
    }
    expect(source?.writableLength).toBeGreaterThanOrEqual(32 * block.length);
    const other = new Client(gateway);
    await other.reads('east\n');
    deaf.destroy();
    other.socket.destroy();
  });

  test('the VIP port leads to the broker as well', async () => {
    const server = createNameServer({
      config: regionalConfig({
        listenPort: 0,
        bindAddress: '127.0.0.1',
        configStorePath: `${parts.folder}/vip.conf`,
        kvConfigPath: `${parts.folder}/vip.json`,
      }),
    });
    await parts.run(server);
    const [host = '', port = ''] = server.address.split(':');
    const gateway = await parts.gateway({ east: `${host}:${Number(port) + 2}`, west: 'w:1' });
    const vip = gateway.ports.get('broker-a')?.vip ?? 0;
    const answer = await parts.peer.invoke(`127.0.0.1:${vip}`, { code: 206 }, 20_000);
    expect(String(answer.body)).toBe('{"topicList":[]}');
  });
});

describe('flips', () => {
  test('open connections are cut, new ones lead to the new region', async () => {
    const { east, west, regions } = await twoRegions();
    const gateway = await parts.gateway(regions);
    const clients = Array.from({ length: 5 }, () => new Client(gateway));
    for (const client of clients) await client.reads('east\n');
    expect(await flip(gateway, 'west', 2)).toEqual({ region: 'west', epoch: 2, moved: 5 });
    for (const client of clients) await client.closes();
    await expect.poll(() => east.sockets.size).toBe(0);
    const later = new Client(gateway);
    await later.reads('west\n');
    expect(await flip(gateway, 'west', 2)).toMatchObject({ moved: 5 });
    expect(later.isClosed).toBe(false);
    expect(await status(gateway)).toEqual({ region: 'west', epoch: 2, moved: 5 });
    await expect(flip(gateway, 'east', 2)).rejects.toMatchObject({ code: 'REFUSED' });
    await expect(flip(gateway, 'east', 1)).rejects.toMatchObject({ code: 'FENCED' });
    expect(west.sockets.size).toBe(1);
    later.socket.destroy();
  });

  test('a client that connects after a flip was answered never meets the old region', async () => {
    const { regions } = await twoRegions();
    const gateway = await parts.gateway(regions);
    /** Last flip answered, and last one begun. */
    const flips = { answered: 1, begun: 1 };
    const nameAt = (n: number) => (n % 2 === 0 ? 'west' : 'east');
    const served = new Map<number, number>();
    const wrong: string[] = [];
    let isDone = false;
    const clients = Array.from({ length: 6 }, async () => {
      while (!isDone) {
        const from = flips.answered;
        const client = new Client(gateway);
        await Promise.race([once(client.socket, 'data'), once(client.socket, 'close')]);
        client.socket.destroy();
        if (client.text === '') continue;
        const allowed = new Set<string>();
        for (let n = from; n <= flips.begun; n++) allowed.add(nameAt(n));
        if (!allowed.has(client.text.trim())) wrong.push(`${client.text} after flip ${from}`);
        served.set(from, (served.get(from) ?? 0) + 1);
      }
    });
    for (let next = 2; next < 40; next++) {
      flips.begun = next;
      await flip(gateway, nameAt(next), next);
      flips.answered = next;
      await expect.poll(() => served.get(next), { timeout: 10_000, interval: 2 }).toBeDefined();
    }
    isDone = true;
    await Promise.all(clients);
    expect(wrong).toEqual([]);
  });

  test('the epoch is kept over a restart', async () => {
    const { regions } = await twoRegions();
    const first = await parts.gateway(regions, 'kept');
    await flip(first, 'west', 9);
    await parts.stop(first);
    const second = await parts.gateway(regions, 'kept');
    expect(second.active).toEqual({ region: 'west', epoch: 9 });
    await expect(flip(second, 'east', 8)).rejects.toMatchObject({ code: 'FENCED' });
    const client = new Client(second);
    await client.reads('west\n');
    client.socket.destroy();
  });
});

describe('a broker that is down', () => {
  test('its clients are closed at once, and served when it is back', async () => {
    const west = new Backend('west');
    const port = await freePort();
    const gateway = await parts.gateway({ east: `127.0.0.1:${port}`, west: await west.listen() });
    const refused = new Client(gateway);
    await refused.closes();
    expect(refused.text).toBe('');
    const east = new Backend('east');
    await east.listen(port);
    const served = new Client(gateway);
    await served.reads('east\n');
    await east.close();
    await served.closes();
  });

  test('around a flip a client waits for the new side to open', async () => {
    const east = new Backend('east');
    const port = await freePort();
    const regions = { east: await east.listen(), west: `127.0.0.1:${port}` };
    const gateway = await parts.gateway(regions);
    await flip(gateway, 'west', 2);
    const client = new Client(gateway);
    await once(client.socket, 'connect');
    const west = new Backend('west');
    await west.listen(port);
    await client.reads('west\n');
    client.socket.destroy();
  });
});

test('rubbish on the control port neither flips nor stops it', async () => {
  const { regions } = await twoRegions();
  const gateway = await parts.gateway(regions);
  const [host = '', port = ''] = gateway.controlAddress.split(':');
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 64 }), async (bytes) => {
      const socket = net.connect(Number(port), host);
      const closed = new Promise((done) => socket.once('close', done));
      socket.on('error', () => socket.destroy());
      socket.resume();
      socket.end(bytes);
      await closed;
    }),
    { numRuns: 100 },
  );
  expect(await status(gateway)).toEqual({ region: 'east', epoch: 0, moved: 0 });
});
