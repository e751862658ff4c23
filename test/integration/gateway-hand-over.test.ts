// A planned flip behind a gateway, between two real brokers: each client's one connection goes on at the
// new region, between two of its frames, wherever the flip meets it. And everything that must end in a cut.
import { AssertionError } from 'node:assert';
import { once } from 'node:events';
import * as net from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { renderMetrics, Secret } from '../../core-broker/base/index.ts';
import { createDrClient } from '../../core-broker/client/index.ts';
import {
  DR_CODE,
  encodeRequest,
  type FlipResult,
  isResponse,
  RELEASE_OPAQUE,
  type RemotingCommand,
  signDrRequest,
} from '../../core-broker/protocol/index.ts';
import { tlsSettings } from '../../core-broker/remoting/index.ts';
import { createGateway, type Gateway } from '../../switchover/gateway/index.ts';
import { type RawConnection, rawConnection } from '../support/raw-connection.ts';
import { PAIR_SECRET, READERS_HEARTBEAT, RegionPair, sendRequest } from '../support/region-pair.ts';
import { SwitchByHand } from '../support/regions/switch-by-hand.ts';

const OP = { opId: 'op-1' };
const QUEUE = { topic: 'TopicTest', queueId: 0 };
const PATIENT = { timeout: 20_000, interval: 10 };

let pair: RegionPair;
let byHand: SwitchByHand;
let gateway: Gateway;
const opened: RawConnection[] = [];

beforeEach(async () => {
  pair = await RegionPair.start();
  byHand = new SwitchByHand(pair);
  gateway = await gatewayTo(pair.east.address, pair.west.address);
});
afterEach(async () => {
  for (const connection of opened.splice(0)) connection.close();
  await gateway.stop();
  await pair.stop();
});

const place = (address: string) => {
  const [host = '', port = ''] = address.split(':');
  return { host, port: Number(port) };
};

async function gatewayTo(east: string, west: string, secret = PAIR_SECRET): Promise<Gateway> {
  const made = createGateway({
    config: {
      listen: new Map([['broker-a', { host: '127.0.0.1', port: 0 }]]),
      regions: new Map([
        ['east', new Map([['broker-a', place(east)]])],
        ['west', new Map([['broker-a', place(west)]])],
      ]),
      initialRegion: 'east',
      statePath: `${pair.east.root}/gateway-${Math.random()}`,
      control: { host: '127.0.0.1', port: 0 },
      secret,
      tls: tlsSettings({}, '.').server,
      warnings: [],
    },
  });
  await made.start();
  return made;
}

async function client(through = gateway): Promise<RawConnection> {
  const connection = await rawConnection(`127.0.0.1:${through.ports.get('broker-a')?.main}`);
  opened.push(connection);
  return connection;
}

/** The next answer; brokers also push, to tell members of a group about each other (40). */
async function answer(connection: RawConnection): Promise<RemotingCommand> {
  for (;;) {
    const command = await Promise.race([connection.next(), later(PATIENT.timeout)]);
    if (command === undefined) throw new AssertionError({ message: 'no answer came' });
    if (isResponse(command)) return command;
  }
}

/** Not the test's own time limit: an answer that is missing shall be called that. */
const later = (ms: number): Promise<undefined> =>
  new Promise((done) => setTimeout(done, ms, undefined).unref());

const sendFrame = (body: string, opaque: number): Buffer =>
  encodeRequest(sendRequest(body), opaque);

const flip = (handOver: boolean, at = gateway, epoch = 2) =>
  pair.dr.control<FlipResult>(at.controlAddress, {
    code: DR_CODE.FLIP,
    body: { region: epoch % 2 === 0 ? 'west' : 'east', epoch, handOver },
    opId: OP.opId,
  });

/** Bodies in the log of a region, in their order. */
async function bodiesOf(name: 'east' | 'west'): Promise<string[]> {
  const { store } = pair[name].broker ?? {};
  if (store === undefined) throw new Error(`${name} is down`);
  const bodies: string[] = [];
  for await (const record of store.scan(0, store.storeBounds().maxOffset)) {
    if (record.topic !== 'TopicTest') continue;
    bodies.push(/[a-z]\d+:\d+;/.exec(record.bytes.toString())?.[0] ?? '');
  }
  return bodies;
}

/** Client connections that gateways of this process carry to a region. */
async function carriedTo(region: 'east' | 'west'): Promise<number> {
  const line = `dr_gateway_connections{broker="broker-a",region="${region}"} `;
  const text = await renderMetrics();
  const found = text.split('\n').find((each) => each.startsWith(line));
  return Number(found?.slice(line.length) ?? 0);
}

/** A pull that waits for a message, with its own subscription. */
const pullFrame = (queueOffset: number, opaque: number): Buffer => {
  const ext = {
    consumerGroup: 'readers',
    ...QUEUE,
    queueOffset,
    maxMsgNums: 32,
    sysFlag: 2 | 4,
    commitOffset: 0,
    suspendTimeoutMillis: 15_000,
    subscription: '*',
    subVersion: 0,
  };
  return encodeRequest({ code: 11, ext }, opaque);
};

/** A client that keeps up to 20 sends open and cuts its bytes anywhere. */
class Busy {
  readonly name: string;
  readonly connection: RawConnection;
  readonly codes = new Set<number>();
  sent = 0;
  acked = 0;
  #isDone = false;
  readonly #running: Promise<unknown>;

  private constructor(name: string, connection: RawConnection) {
    this.name = name;
    this.connection = connection;
    this.#running = Promise.all([this.#write(), this.#read()]);
  }

  static async start(name: string): Promise<Busy> {
    return new Busy(name, await client());
  }

  async #write(): Promise<void> {
    while (!this.#isDone) {
      const frames: Buffer[] = [];
      while (this.sent - this.acked < 20 && frames.length < 7) {
        const body = `${this.name}:${this.sent};${'x'.repeat(Math.random() * 400)}`;
        frames.push(sendFrame(body, 1_000 + this.sent++));
      }
      const bytes = Buffer.concat(frames);
      for (let at = 0; at < bytes.length; ) {
        const length = 1 + Math.floor(Math.random() * 900);
        this.connection.write(bytes.subarray(at, at + length));
        at += length;
        await new Promise((done) => setImmediate(done));
      }
      await new Promise((done) => setTimeout(done, 1));
    }
  }

  async #read(): Promise<void> {
    while (!this.#isDone || this.acked < this.sent) {
      if (this.acked === this.sent) {
        await new Promise((done) => setImmediate(done));
        continue;
      }
      const { opaque, code } = await this.connection.next();
      expect(opaque).toBe(1_000 + this.acked);
      this.codes.add(code);
      this.acked++;
    }
  }

  async stop(): Promise<void> {
    this.#isDone = true;
    await this.#running;
  }
}

describe('a planned flip', () => {
  test('gives waiting sends to the new region in their order, on the same connection', async () => {
    const one = await client();
    one.write(sendFrame('a1:0;', 100));
    expect(await one.next()).toMatchObject({ opaque: 100, code: 0 });
    const token = await byHand.prepare();
    const frames = Array.from({ length: 20 }, (_, i) => sendFrame(`a1:${i + 1};`, 101 + i));
    const bytes = Buffer.concat(frames);
    // The flip finds the last frame half-way.
    one.write(bytes.subarray(0, bytes.length - 10));
    await pair.until('east', ({ parkedSends }) => parkedSends === 19);
    await byHand.promote(token);
    expect(await flip(true)).toMatchObject({ region: 'west', moved: 1 });
    one.write(bytes.subarray(bytes.length - 10));
    for (let i = 0; i < 20; i++) {
      expect(await one.next()).toMatchObject({ opaque: 101 + i, code: 0 });
    }
    one.write(sendFrame('a1:21;', 200));
    expect(await one.next()).toMatchObject({ opaque: 200, code: 0 });
    expect(one.isClosed).toBe(false);
    expect(await bodiesOf('west')).toEqual(Array.from({ length: 22 }, (_, i) => `a1:${i};`));
    expect(await bodiesOf('east')).toEqual(['a1:0;']);
    await expect.poll(() => carriedTo('east'), PATIENT).toBe(0);
  });

  test('answers held pulls and takes the client, known with its group, to the new region', async () => {
    const reader = await client();
    reader.write(encodeRequest({ code: 34, body: JSON.stringify(READERS_HEARTBEAT) }, 1));
    expect(await answer(reader)).toMatchObject({ opaque: 1, code: 0 });
    reader.write(sendFrame('a1:0;', 2));
    expect(await answer(reader)).toMatchObject({ opaque: 2, code: 0 });
    const token = await byHand.prepare();
    reader.write(pullFrame(1, 3));
    await byHand.promote(token);
    await flip(true);
    expect(await answer(reader)).toMatchObject({ opaque: 3, code: 19 });
    // Its next pull waits at the new region, until a send there ends it.
    reader.write(pullFrame(1, 4));
    const members = { code: 38, ext: { consumerGroup: 'readers' } };
    await expect
      .poll(async () => String((await pair.peer.invoke(pair.west.address, members, 20_000)).body))
      .toContain('client-1');
    expect((await pair.send(pair.west.address, 'a1:1;')).code).toBe(0);
    const found = await answer(reader);
    expect(found).toMatchObject({ opaque: 4, code: 0 });
    expect(String(found.body)).toContain('a1:1;');
    expect(reader.isClosed).toBe(false);
  });

  test('meets busy connections at any byte: nothing lost, doubled, out of order or cut', async () => {
    const busy = await Promise.all(['a1', 'b1', 'c1', 'd1'].map((name) => Busy.start(name)));
    await expect.poll(() => busy.every(({ acked }) => acked > 50), PATIENT).toBe(true);
    const token = await byHand.prepare();
    await byHand.promote(token);
    expect(await flip(true)).toMatchObject({ moved: 4 });
    await byHand.relay();
    const after = busy.map(({ acked }) => acked + 100);
    await expect
      .poll(() => busy.every(({ acked }, i) => acked > (after[i] ?? 0)), PATIENT)
      .toBe(true);
    for (const each of busy) await each.stop();
    const west = await bodiesOf('west');
    for (const { name, sent, codes, connection } of busy) {
      expect(connection.isClosed).toBe(false);
      expect(codes).toEqual(new Set([0]));
      const own = west.filter((body) => body.startsWith(`${name}:`));
      expect(own).toEqual(Array.from({ length: sent }, (_, i) => `${name}:${i};`));
    }
    await expect.poll(() => carriedTo('east'), PATIENT).toBe(0);
  });

  test('that comes when the old side relays already is handed over at the end of the chain', async () => {
    const one = await client();
    one.write(sendFrame('a1:0;', 1));
    expect((await one.next()).code).toBe(0);
    await byHand.promote(await byHand.prepare());
    await byHand.relay();
    one.write(sendFrame('a1:1;', 2));
    expect(await one.next()).toMatchObject({ opaque: 2, code: 0 });
    expect(pair.status('east').relay?.connections).toBe(1);
    await flip(true);
    one.write(sendFrame('a1:2;', 3));
    expect(await one.next()).toMatchObject({ opaque: 3, code: 0 });
    expect(one.isClosed).toBe(false);
    expect(await bodiesOf('west')).toEqual(['a1:0;', 'a1:1;', 'a1:2;']);
    await expect.poll(() => pair.status('east').relay?.connections, PATIENT).toBe(0);
  });
});

describe('a cut', () => {
  test('is what a forced flip makes, at once', async () => {
    const one = await client();
    one.write(sendFrame('a1:0;', 1));
    await one.next();
    await pair.west.link?.copyTo(pair.status('east').maxOffset);
    await pair.ask('west', DR_CODE.LINK_HALT, OP);
    await byHand.promote(null);
    expect(await flip(false)).toMatchObject({ moved: 1 });
    await one.closed();
    const two = await client();
    two.write(sendFrame('a1:1;', 2));
    expect((await two.next()).code).toBe(0);
    expect((await bodiesOf('west')).at(-1)).toBe('a1:1;');
  });

  test('is what a frame without an end, or bytes without frames, come to', async () => {
    const [slow, strange] = [await client(), await client()];
    slow.write(sendFrame('a1:0;', 1).subarray(0, 40));
    strange.write(Buffer.from('\0\0\0'));
    const token = await byHand.prepare();
    await byHand.promote(token);
    await flip(true);
    await slow.closed();
    await strange.closed();
    expect(await bodiesOf('west')).toEqual([]);
  });

  test('follows when the old side refuses, is no broker of ours, or goes away', async () => {
    const deaf = net.createServer((socket) => socket.on('data', () => undefined)).listen(0);
    const dying = net.createServer((socket) => {
      socket.on('data', (bytes) => {
        if (bytes.includes('"mac"')) socket.destroy();
      });
    });
    dying.listen(0);
    await Promise.all([deaf, dying].map((server) => once(server, 'listening')));
    const [deafAt, dyingAt] = [deaf, dying].map(
      (server) => `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
    );
    const stranger = new Secret('not the secret of the brokers');
    const cases: [string, Secret][] = [
      [pair.east.address, stranger],
      [deafAt ?? '', PAIR_SECRET],
      [dyingAt ?? '', PAIR_SECRET],
    ];
    for (const [east, secret] of cases) {
      const own = await gatewayTo(east, pair.west.address, secret);
      const dr = createDrClient({ secret });
      const one = await client(own);
      const body = { region: 'west', epoch: 2, handOver: true };
      await expect.poll(() => carriedTo('east'), PATIENT).toBe(1);
      await dr.control(own.controlAddress, { code: DR_CODE.FLIP, body, opId: 'op' });
      await one.closed();
      dr.close();
      await own.stop();
    }
    deaf.close();
    dying.close();
  });
});

test('a side that writes answers everything it took before it gives a connection back', async () => {
  const sync = await RegionPair.start({ flushDiskType: 'SYNC_FLUSH' });
  const one = await rawConnection(sync.east.address);
  opened.push(one);
  const body = JSON.stringify({ region: 'west', epoch: 2 });
  const nonce = `nonce-${Math.random()}`;
  const signed = { code: DR_CODE.RELEASE, body, opId: 'op', nonce, nowMs: Date.now() };
  const release = encodeRequest(signDrRequest(PAIR_SECRET, signed), RELEASE_OPAQUE);
  const sends = Array.from({ length: 50 }, (_, i) => sendFrame(`a1:${i};`, i));
  // One read: the sends are not on disk, so not acknowledged, when the request is looked at.
  one.write(Buffer.concat([...sends, pullFrame(0, 50), release]));
  const opaques: number[] = [];
  for (let i = 0; i < 51; i++) opaques.push((await answer(one)).opaque);
  expect(opaques.sort((a, b) => a - b)).toEqual(Array.from({ length: 51 }, (_, i) => i));
  const notice = await answer(one);
  expect(notice).toMatchObject({ opaque: RELEASE_OPAQUE, code: 0 });
  expect(JSON.parse(String(notice.body))).toEqual({ bytes: 0 });
  await one.closed();
  expect(sync.east.broker?.store.bounds(QUEUE)?.max).toBe(50);
  await sync.stop();
});

test('a stranger cannot have a connection given back', async () => {
  const one = await rawConnection(pair.east.address);
  opened.push(one);
  const body = JSON.stringify({ region: 'west', epoch: 2 });
  one.write(encodeRequest({ code: DR_CODE.RELEASE, body }, RELEASE_OPAQUE));
  expect(await one.next()).toMatchObject({ opaque: RELEASE_OPAQUE, code: 16 });
  expect(one.isClosed).toBe(false);
});
