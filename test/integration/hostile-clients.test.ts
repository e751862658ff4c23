// Clients that mean no good, over real sockets against a whole broker and name server: answers of 2 GB,
// readers that never read, headers and bodies of 16 MB, ten thousand connections that say nothing. Others
// are served all along, and what it costs in memory is bounded.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { NODE_FLAGS } from '../../cli/node-flags.ts';
import { LIMITS } from '../../core-broker/base/index.ts';
import { encodeRequest, RequestCode } from '../../core-broker/protocol/index.ts';
import { RemotingServer } from '../../core-broker/remoting/index.ts';
import {
  type BrokerFixture,
  pullFields,
  recordsOf,
  startBroker,
} from '../support/broker-fixture.ts';
import { DrParts } from '../support/dr-parts.ts';
import { heapMb } from '../support/fuzz/play.ts';
import { Rng } from '../support/fuzz/rng.ts';

const MESSAGE_BYTES = 64 * 1024;
const MESSAGES = 200;
const RECORD_BYTES = MESSAGE_BYTES + 512;

const parts = new DrParts();
const sockets: net.Socket[] = [];
const servers: RemotingServer[] = [];
let broker: BrokerFixture;
let nameserver = '';

/** The socket servers of both programs: what they hold unsent is measured there. */
async function catchServers(start: () => Promise<unknown>): Promise<void> {
  const original = RemotingServer.prototype.listen;
  RemotingServer.prototype.listen = function listen(this: RemotingServer) {
    servers.push(this);
    return original.call(this);
  };
  await start().finally(() => {
    RemotingServer.prototype.listen = original;
  });
}

beforeAll(async () => {
  await catchServers(async () => {
    broker = await startBroker({ mappedFileSizeCommitLog: 32 * 1024 * 1024 });
    nameserver = (await parts.nameserver()).address;
  });
  const body = Buffer.alloc(MESSAGE_BYTES, 'x');
  await broker.send('big', body);
  await Promise.all(Array.from({ length: MESSAGES - 1 }, () => broker.send('big', body)));
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
});
afterAll(async () => {
  await broker.stop();
  await parts.close();
});

async function connectTo(address: string): Promise<net.Socket> {
  const [host, port] = address.split(':');
  const socket = net.connect(Number(port), host);
  socket.on('error', () => socket.destroy());
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

const unsentBytes = () =>
  servers
    .flatMap((server) => [...server.connections])
    .reduce((sum, connection) => sum + connection.output.unsentBytes, 0);
const isServed = async () => {
  expect((await broker.send('small', 'x')).code).toBe(0);
  expect((await parts.peer.invoke(nameserver, { code: 106 }, 10_000)).code).toBe(0);
};

describe('a consumer that asks for 2 GB', () => {
  const GREEDY = 2_147_483_647;
  test.each([RequestCode.PULL_MESSAGE, RequestCode.LITE_PULL_MESSAGE])(
    'gets what one answer may hold (code %i)',
    async (code) => {
      const ext = { ...pullFields('big', 0, { maxMsgNums: GREEDY }), maxMsgBytes: GREEDY };
      const answer = await broker.call(code, ext);
      expect(answer.code).toBe(0);
      expect(recordsOf(answer).length).toBeGreaterThan(0);
      expect(recordsOf(answer).length).toBeLessThanOrEqual(LIMITS.pullReplyMessagesMax);
      expect(answer.body?.length).toBeLessThanOrEqual(LIMITS.pullReplyBytesMax + RECORD_BYTES);
    },
  );

  test('and one who asks for less than nothing gets a refusal or nothing', async () => {
    for (const maxMsgNums of [-1, 0, -GREEDY]) {
      const ext = pullFields('big', 0, { maxMsgNums });
      const answer = await broker.call(RequestCode.PULL_MESSAGE, ext);
      expect(answer.body?.length ?? 0).toBeLessThanOrEqual(LIMITS.pullReplyBytesMax + RECORD_BYTES);
    }
    await isServed();
  });
});

test('readers that never read cost what their output limit allows, and nobody else waits', async () => {
  const greedy = await Promise.all(
    Array.from({ length: 4 }, () => connectTo(broker.broker.address)),
  );
  const before = await heapMb();
  let largest = 0;
  // Together they ask for 8 GB; the sockets are paused, so that nothing leaves after the first megabytes.
  for (let round = 0; round < 40; round++) {
    for (const socket of greedy) {
      socket.pause();
      for (let one = 0; one < 200 && socket.writable; one++) {
        const ext = pullFields('big', 0);
        socket.write(encodeRequest({ code: RequestCode.PULL_MESSAGE, ext }, one));
      }
    }
    await isServed();
    largest = Math.max(largest, unsentBytes());
  }
  expect(largest).toBeGreaterThan(LIMITS.pullReplyBytesMax);
  expect(largest).toBeLessThan(greedy.length * LIMITS.connectionOutputBytesMax);
  expect((await heapMb()) - before).toBeLessThan(400);
  for (const socket of greedy) socket.destroy();
  await expect.poll(unsentBytes).toBe(0);
});

describe('frames of 16 MB', () => {
  const places = (): [string, string][] => [
    ['broker', broker.broker.address],
    ['name server', nameserver],
  ];
  const big = 'x'.repeat(15 * 1024 * 1024);
  const nested = '['.repeat(15 * 1024 * 1024);
  const many = Object.fromEntries(Array.from({ length: 200_000 }, (_, at) => [`key-${at}`, 'v']));
  const frames: [string, () => Buffer][] = [
    ['a text in the header', () => encodeRequest({ code: 105, ext: { topic: big } }, 1)],
    ['200,000 header fields', () => encodeRequest({ code: 34, ext: many }, 1)],
    ['a nested body', () => encodeRequest({ code: 34, body: nested }, 1)],
    ['a nested registration', () => encodeRequest({ code: 103, body: nested }, 1)],
    ['a long number', () => encodeRequest({ code: 41, body: `{"n":${'9'.repeat(1e7)}}` }, 1)],
    [
      'one key a million times',
      () => encodeRequest({ code: 41, body: `{${'"a":1,'.repeat(2e6)}"a":1}` }, 1),
    ],
    ['more than the limit', () => Buffer.concat([Buffer.from([2, 0, 0, 0]), Buffer.from(big)])],
  ];

  test.each(frames)('%s: an answer or a closed connection', async (_, make) => {
    for (const [, address] of places()) {
      const socket = await connectTo(address);
      socket.write(make());
      const first = await new Promise<Buffer | undefined>((done) => {
        socket.once('data', done).once('close', () => done(undefined));
      });
      if (first) expect(first.readInt32BE(0)).toBeLessThan(LIMITS.frameBytesMax);
      await isServed();
    }
  });

  test('that never end are held within the budget of the server', async () => {
    const before = await heapMb();
    const claims = Buffer.alloc(4);
    claims.writeInt32BE(LIMITS.frameBytesMax - 4);
    const piece = Buffer.alloc(1024 * 1024);
    const closed: string[] = [];
    for (let one = 0; one < 40; one++) {
      const socket = await connectTo(broker.broker.address);
      socket.once('close', () => closed.push('closed'));
      socket.write(claims);
      for (let megabyte = 0; megabyte < 15; megabyte++) socket.write(piece);
    }
    await expect.poll(() => closed.length).toBeGreaterThan(0);
    expect((await heapMb()) - before).toBeLessThan(
      2 * (LIMITS.partialFrameBytesMax / 1024 / 1024) + 200,
    );
    await isServed();
  });
});

test('beginnings of TLS that go wrong end as closed connections', async () => {
  const hello = Buffer.from('1603010200010001fc0303', 'hex');
  const rng = new Rng(11);
  const noise = () => Buffer.from(Array.from({ length: 1 + rng.below(800) }, () => rng.below(256)));
  const ended: Promise<unknown>[] = [];
  for (let one = 0; one < 200; one++) {
    for (const address of [broker.broker.address, nameserver]) {
      const socket = await connectTo(address);
      ended.push(new Promise((done) => socket.resume().once('close', done)));
      socket.write(Buffer.concat([hello.subarray(0, 1 + rng.below(hello.length)), noise()]));
      socket.end();
    }
  }
  await isServed();
  await Promise.all(ended);
});

/** Hard limit of open files; Node raises the soft one to it. */
function openFilesMax(): number {
  const limits = fs.readFileSync('/proc/self/limits', 'utf8');
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)?.[1];
  return hard === undefined || hard === 'unlimited' ? Number.POSITIVE_INFINITY : Number(hard);
}

describe('10,000 connections that say nothing', () => {
  // Fewer only where a process may not have as many files.
  const COUNT = Math.min(10_000, openFilesMax() - 500);
  const PROGRAM = path.resolve(import.meta.dirname, '../support/idle-clients.ts');
  let child: ChildProcess | undefined;
  afterEach(() => child?.kill('SIGKILL'));

  test('cost little, and go without a trace', async () => {
    const open = () => servers.reduce((sum, server) => sum + server.connections.size, 0);
    // Those of the tests before are on their way out.
    await expect.poll(open).toBeLessThan(5);
    const [atFirst, before] = [open(), await heapMb()];
    const [host = '', port = ''] = broker.broker.address.split(':');
    const args = [...NODE_FLAGS, PROGRAM, host, port, String(COUNT)];
    child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(child, 'exit').then(([status]) => {
      throw new Error(`the clients ended with ${status}`);
    });
    await Promise.race([once(child.stdout as NodeJS.ReadableStream, 'data'), ended]);
    ended.catch(() => undefined);
    await expect.poll(open).toBe(atFirst + COUNT);
    await isServed();
    // 15 KB each.
    expect((await heapMb()) - before).toBeLessThan(150);
    child.stdin?.end();
    await once(child, 'exit');
    await expect.poll(open).toBe(atFirst);
    await isServed();
    expect((await heapMb()) - before).toBeLessThan(40);
  });
});
