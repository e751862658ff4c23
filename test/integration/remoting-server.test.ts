// The socket layer over real sockets, in both receive modes: framing, limits, back-pressure, both
// directions of requests, hand-over and splicing.
import * as net from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { DrError } from '../../core-broker/base/index.ts';
import {
  encodeRequest,
  encodeResponse,
  type RemotingCommand,
  responseTo,
} from '../../core-broker/protocol/index.ts';
import { canReuse, startReading } from '../../core-broker/remoting/accepted-socket.ts';
import {
  type FrameListener,
  RemotingClient,
  RemotingServer,
  type RemotingServerOptions,
  RequestDispatcher,
  type RequestHandler,
  type ServerConnection,
} from '../../core-broker/remoting/index.ts';
import { freePort } from '../support/dr-parts.ts';
import { patiently } from '../support/patiently.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

type Options = Partial<RemotingServerOptions>;
/** What ends by itself; a busy machine may need it. */
const PATIENT_MS = 20_000;

async function serve(listener: FrameListener, options: Options = {}): Promise<RemotingServer> {
  const server = new RemotingServer({ host: '127.0.0.1', port: 0, listener, ...options });
  await server.listen();
  closers.push(() => server.close());
  return server;
}

function client(): RemotingClient {
  const made = new RemotingClient({ connectTimeoutMs: PATIENT_MS });
  closers.push(() => made.close());
  return made;
}

const addressOf = (server: RemotingServer): string => `127.0.0.1:${server.port}`;

function dispatcher(handlers: Record<number, RequestHandler>): RequestDispatcher {
  return new RequestDispatcher({
    handlers: new Map(Object.entries(handlers).map(([code, run]) => [Number(code), run])),
    toResponse: (error) => ({ code: error.code === 'FENCED' ? 14 : 1, remark: error.message }),
  });
}

const echo: RequestHandler = async (request) => ({
  code: 0,
  ext: request.ext,
  ...(request.body ? { body: request.body } : {}),
});

function rawSocket(server: RemotingServer): net.Socket {
  const socket = net.connect(server.port, '127.0.0.1');
  socket.on('error', () => socket.destroy());
  closers.push(() => socket.destroy());
  return socket;
}

/** Resolves when a count has not changed over several rounds of the event loop. */
async function settled(count: () => number): Promise<void> {
  for (let same = 0, last = -1; same < 20; ) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    same = count() === last ? same + 1 : 0;
    last = count();
  }
}

const closed = (socket: net.Socket): Promise<void> =>
  new Promise((resolve) => socket.once('close', () => resolve()));

test('a Node without the handle that `reused` needs is served by events', async () => {
  const got: string[] = [];
  const listening = net.createServer({ pauseOnConnect: true }, (socket) => {
    const handle = (socket as unknown as { _handle: object })._handle;
    Object.defineProperty(handle, 'useUserBuffer', { value: undefined });
    const own = startReading(socket, 'reused', (chunk, end) => {
      got.push(chunk.toString('latin1', 0, end));
      return true;
    });
    expect(own).toBe(socket);
  });
  closers.push(() => new Promise((resolve) => listening.close(resolve)));
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const socket = net.connect((listening.address() as net.AddressInfo).port, '127.0.0.1');
  closers.push(() => socket.destroy());
  socket.write('heard');
  await patiently(() => expect(got.join('')).toBe('heard'));
});

test('this Node has the handle that `reused` needs', async () => {
  const server = net.createServer({ pauseOnConnect: true });
  closers.push(() => new Promise((resolve) => server.close(resolve)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  const socket = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  closers.push(() => socket.destroy());
  const own = await accepted;
  closers.push(() => own.destroy());
  expect(canReuse(own)).toBe(true);
});

describe.each(['events', 'reused'] as const)('remoting server, receive mode %s', (receive) => {
  test('frames arrive whole, whatever the reads look like', async () => {
    const seen: string[] = [];
    const server = await serve(
      {
        onFrame(connection, chunk, start, end) {
          seen.push(chunk.subarray(start, end).toString('latin1'));
          connection.write(Buffer.from([1]));
        },
      },
      { receive },
    );
    const bodies = [0, 1, 500, 70_000, 3, 300_000, 0];
    const frames = bodies.map((size, i) =>
      encodeRequest({ code: 10 + i, body: Buffer.alloc(size, 65 + i) }, i),
    );
    const all = Buffer.concat(frames);
    const socket = rawSocket(server);
    socket.setNoDelay(true);
    let answers = 0;
    socket.on('data', (chunk) => {
      answers += chunk.length;
    });
    // Cuts in every kind of place: inside lengths, inside headers, at frame borders.
    for (let at = 0, size = 1; at < all.length; at += size, size = (size * 3) % 9973) {
      socket.write(all.subarray(at, at + size));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await patiently(() => expect(answers).toBe(frames.length));
    expect(seen).toEqual(frames.map((frame) => frame.toString('latin1')));
    expect(server.partial.usedBytes).toBe(0);
  });

  test('impossible lengths close the connection and leave others alone', async () => {
    const server = await serve(dispatcher({ 105: echo }), { receive, frameBytesMax: 4096 });
    const good = client();
    await good.invoke(addressOf(server), { code: 105 }, PATIENT_MS);
    const garbage = [
      Buffer.from([0x7f, 0xff, 0xff, 0xff, 0]),
      Buffer.from([0xff, 0xff, 0xff, 0xff, 0]),
      Buffer.from([0, 0, 0, 3, 0, 0, 0]),
      Buffer.from([0, 0, 0, 8, 0, 0, 0xff, 0xff, 1, 2, 3, 4]),
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.concat([Buffer.from([0, 0, 0, 8, 0, 0, 0, 4]), Buffer.from('[[[[')]),
    ];
    for (const bytes of garbage) {
      const socket = rawSocket(server);
      socket.write(bytes);
      await closed(socket);
    }
    const answer = await good.invoke(addressOf(server), { code: 105, ext: { x: 'y' } }, PATIENT_MS);
    expect(answer.ext['x']).toBe('y');
    await patiently(() => expect(server.connections.size).toBe(1));
  });

  test('bytes of unfinished frames are bounded over all connections', async () => {
    const server = await serve(dispatcher({}), { receive, partialBytesMax: 64 * 1024 });
    const half = encodeRequest({ code: 1, body: Buffer.alloc(40_000) }, 1).subarray(0, 38_000);
    const first = rawSocket(server);
    first.write(half);
    await patiently(() => expect(server.partial.usedBytes).toBe(half.length));
    const second = rawSocket(server);
    second.write(half);
    await closed(second);
    expect(first.destroyed).toBe(false);
    expect(server.partial.usedBytes).toBe(half.length);
    first.destroy();
    await patiently(() => expect(server.partial.usedBytes).toBe(0));
  });

  test('input of a client that does not read pauses, and goes on when it reads', async () => {
    const COUNT = 20_000;
    let frames = 0;
    const body = Buffer.alloc(2048);
    const server = await serve(
      {
        onFrame(connection) {
          frames++;
          connection.respond(1, { code: 0, body });
        },
      },
      { receive },
    );
    const socket = rawSocket(server);
    socket.pause();
    const request = encodeRequest({ code: 10, body: Buffer.alloc(200) }, 1);
    socket.write(Buffer.concat(new Array(COUNT).fill(request)));
    await settled(() => frames);
    expect(frames).toBeGreaterThan(0);
    expect(frames).toBeLessThan(COUNT);
    for (const connection of server.connections) {
      expect(connection.output.unsentBytes).toBeLessThan(4 * 1024 * 1024);
    }
    let got = 0;
    socket.on('data', (chunk) => {
      got += chunk.length;
    });
    socket.resume();
    const answerBytes = encodeResponse(1, { code: 0, body }).length;
    await patiently(() => expect(got).toBe(COUNT * answerBytes));
    expect(frames).toBe(COUNT);
  });

  test('answers to slow readers are never mixed up', async () => {
    const COUNT = 3000;
    const server = await serve(
      {
        onFrame(connection, chunk, start) {
          // The first opaque byte names the client: every byte of its answers must be that name.
          const name = chunk[start + 8] ?? 0;
          connection.write(Buffer.alloc(3001, name));
        },
      },
      { receive },
    );
    const received = [1, 2, 3, 4].map((name) => {
      const socket = rawSocket(server);
      socket.pause();
      const frame = Buffer.from([0, 0, 0, 5, 0, 0, 0, 1, name]);
      socket.write(Buffer.concat(new Array(COUNT).fill(frame)));
      return { name, socket, bytes: 0, wrong: 0 };
    });
    await settled(() =>
      [...server.connections].reduce((sum, { output }) => sum + output.unsentBytes, 0),
    );
    for (const side of received) {
      side.socket.on('data', (chunk: Buffer) => {
        side.bytes += chunk.length;
        for (const byte of chunk) if (byte !== side.name) side.wrong++;
      });
      side.socket.resume();
    }
    const expected = [1, 2, 3, 4].map(() => ({ bytes: COUNT * 3001, wrong: 0 }));
    await patiently(() =>
      expect(received.map(({ bytes, wrong }) => ({ bytes, wrong }))).toEqual(expected),
    );
  });

  test('output above the limit within one tick closes only that connection', async () => {
    const gone: number[] = [];
    const server = await serve(
      {
        onFrame(connection) {
          for (let i = 0; i < 64; i++) connection.write(Buffer.alloc(64 * 1024));
        },
        onClose: (connection) => void gone.push(connection.id),
      },
      { receive, outputBytesMax: 1024 * 1024 },
    );
    const socket = rawSocket(server);
    socket.write(encodeRequest({ code: 1 }, 1));
    socket.resume();
    await closed(socket);
    expect(gone).toHaveLength(1);
  });

  test('requests go both ways on one connection and opaques do not mix', async () => {
    const connections: ServerConnection[] = [];
    const base = dispatcher({ 105: echo });
    const server = await serve(
      {
        onOpen: (connection) => void connections.push(connection),
        onFrame: (connection, chunk, start, end) => base.onFrame(connection, chunk, start, end),
      },
      { receive },
    );
    const peer = client();
    const heard: RemotingCommand[] = [];
    peer.onRequest((_, request) => {
      heard.push(request);
      return request.code === 307 ? responseTo(request, { code: 0, body: 'info' }) : undefined;
    });
    await peer.invoke(addressOf(server), { code: 105 }, PATIENT_MS);
    const connection = connections[0];
    if (!connection) throw new Error('no connection');
    const calls = Array.from({ length: 20 }, (_, i) =>
      peer.invoke(addressOf(server), { code: 105, ext: { i } }, PATIENT_MS),
    );
    const answers = Array.from({ length: 20 }, () => connection.request({ code: 307 }, PATIENT_MS));
    connection.notify({ code: 40, ext: { consumerGroup: 'g' } });
    const echoed = await Promise.all(calls);
    expect(echoed.map((answer) => answer.ext['i'])).toEqual([...Array(20).keys()].map(String));
    for (const answer of await Promise.all(answers)) expect(answer.body?.toString()).toBe('info');
    await patiently(() => expect(heard.filter((request) => request.code === 40)).toHaveLength(1));
    await expect(connection.request({ code: 309 }, 50)).rejects.toMatchObject({ code: 'TIMEOUT' });
    const lost = connection.request({ code: 309 }, PATIENT_MS);
    peer.close();
    await expect(lost).rejects.toMatchObject({ code: 'NETWORK' });
  });

  test('an idle connection is closed, a busy one is not', async () => {
    const server = await serve(dispatcher({ 105: echo }), { receive, idleMs: 1_000 });
    const idle = rawSocket(server);
    const busy = client();
    let isIdleClosed = false;
    void closed(idle).then(() => {
      isIdleClosed = true;
    });
    idle.resume();
    while (!isIdleClosed) await busy.invoke(addressOf(server), { code: 105 }, PATIENT_MS);
    expect(server.connections.size).toBe(1);
  });

  test('detach hands over every unread byte and the answers queued before', async () => {
    const handed: net.Socket[] = [];
    let gone = 0;
    const server = await serve(
      {
        onFrame(connection, chunk, start, end) {
          connection.write(Buffer.from('queued;'));
          if (chunk.subarray(start, end).includes('second')) handed.push(connection.detach());
        },
        onClose: () => void gone++,
      },
      { receive },
    );
    const socket = rawSocket(server);
    const got: Buffer[] = [];
    socket.on('data', (chunk) => got.push(chunk));
    const frames = ['first', 'second', 'third'].map((body, i) =>
      encodeRequest({ code: 1, body }, i),
    );
    socket.write(Buffer.concat([...frames, Buffer.from('tail')]));
    await patiently(() => expect(handed).toHaveLength(1));
    socket.write('more');
    const own = handed[0];
    if (!own) throw new Error('no socket');
    closers.push(() => own.destroy());
    const rest: Buffer[] = [];
    own.on('data', (chunk) => rest.push(chunk));
    own.resume();
    const expected = Buffer.concat([frames[2] ?? Buffer.alloc(0), Buffer.from('tailmore')]);
    await patiently(() => expect(Buffer.concat(rest).equals(expected)).toBe(true));
    own.end('bye');
    await patiently(() => expect(Buffer.concat(got).toString()).toBe('queued;queued;bye'));
    expect(gone).toBe(1);
    expect(server.connections.size).toBe(0);
  });

  test('input pauses while too many request bytes are unanswered', async () => {
    const running: (() => void)[] = [];
    let asked = 0;
    const slow = new RequestDispatcher({
      handlers: new Map([
        [
          1,
          () => {
            asked++;
            return new Promise((resolve) => running.push(() => resolve({ code: 0 })));
          },
        ],
      ]),
      toResponse: (error) => ({ code: 1, remark: error.message }),
      inflightBytesMax: 300_000,
    });
    const server = await serve(slow, { receive });
    const peer = client();
    const request = { code: 1, body: Buffer.alloc(100_000) };
    const calls = Array.from({ length: 60 }, () => peer.invoke(addressOf(server), request, 20_000));
    await patiently(() => expect(asked).toBeGreaterThanOrEqual(3));
    await settled(() => asked);
    expect(asked).toBeLessThan(30);
    const release = setInterval(() => {
      for (const done of running.splice(0)) done();
    }, 1);
    closers.push(() => clearInterval(release));
    const answers = await Promise.all(calls);
    expect(answers.every((answer) => answer.code === 0)).toBe(true);
  });

  test('close lets queued answers leave', async () => {
    const server = await serve(
      {
        onFrame(connection) {
          connection.write(Buffer.alloc(300_000, 7));
          connection.close();
        },
      },
      { receive },
    );
    const socket = rawSocket(server);
    let bytes = 0;
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
    socket.write(encodeRequest({ code: 1 }, 1));
    await closed(socket);
    expect(bytes).toBe(300_000);
  });
});

describe('request dispatcher', () => {
  test('answers unknown codes, mapped errors and exceptions; never a oneway request', async () => {
    let oneways = 0;
    const server = await serve(
      dispatcher({
        1: () => {
          throw new DrError('FENCED', 'region is fenced');
        },
        2: async () => {
          throw new TypeError('bug');
        },
        3: () => {
          oneways++;
          return { code: 0 };
        },
        105: echo,
      }),
    );
    const peer = client();
    const call = (code: number) => peer.invoke(addressOf(server), { code }, PATIENT_MS);
    expect(await call(7777)).toMatchObject({ code: 3, remark: ' request type 7777 not supported' });
    expect(await call(1)).toMatchObject({ code: 14, remark: 'region is fenced' });
    expect(await call(2)).toMatchObject({ code: 1, remark: 'bug' });
    const socket = rawSocket(server);
    let bytes = 0;
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
    socket.write(encodeRequest({ code: 3 }, 5, { oneway: true }));
    socket.write(encodeRequest({ code: 9999 }, 5, { oneway: true }));
    socket.end(encodeRequest({ code: 1 }, 5, { oneway: true }));
    await closed(socket);
    expect(oneways).toBe(1);
    expect(bytes).toBe(0);
  });

  test('one listener serves several ports', async () => {
    const ports: number[] = [];
    const base = dispatcher({ 105: echo });
    const server = await serve({
      onFrame(connection, chunk, start, end) {
        ports.push(connection.localPort);
        base.onFrame(connection, chunk, start, end);
      },
    });
    const vip = await server.listenAlso(0);
    const peer = client();
    await peer.invoke(addressOf(server), { code: 105 }, PATIENT_MS);
    await peer.invoke(`127.0.0.1:${vip}`, { code: 105 }, PATIENT_MS);
    expect(ports).toEqual([server.port, vip]);
  });
});

describe('remoting client', () => {
  test('a refused, a silent and a lost peer are told apart', async () => {
    const peer = client();
    const refused = peer.invoke(`127.0.0.1:${await freePort()}`, { code: 1 }, PATIENT_MS);
    await expect(refused).rejects.toMatchObject({ code: 'NETWORK' });
    const accepted: ServerConnection[] = [];
    const server = await serve({
      onOpen: (connection) => void accepted.push(connection),
      onFrame: () => undefined,
    });
    const silent = peer.invoke(addressOf(server), { code: 1 }, 100);
    await expect(silent).rejects.toMatchObject({ code: 'TIMEOUT' });
    // The silent connection was given up: the next call makes a new one.
    const lost = peer.invoke(addressOf(server), { code: 1 }, PATIENT_MS);
    await patiently(() => expect(accepted).toHaveLength(2));
    accepted[1]?.close();
    await expect(lost).rejects.toMatchObject({ code: 'NETWORK' });
    peer.close();
    const after = peer.invoke(addressOf(server), { code: 1 }, PATIENT_MS);
    await expect(after).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test('one connection carries many calls, and a server restart is survived', async () => {
    const first = await serve(dispatcher({ 105: echo }));
    const port = first.port;
    const peer = client();
    const calls = Array.from({ length: 500 }, (_, i) =>
      peer.invoke(`127.0.0.1:${port}`, { code: 105, ext: { i } }, PATIENT_MS),
    );
    const answers = await Promise.all(calls);
    expect(answers.map((answer) => Number(answer.ext['i']))).toEqual([...Array(500).keys()]);
    expect(first.connections.size).toBe(1);
    await first.close();
    const second = await serve(dispatcher({ 105: echo }), { port });
    await patiently(async () => {
      const answer = await peer.invoke(`127.0.0.1:${port}`, { code: 105 }, PATIENT_MS);
      expect(answer.code).toBe(0);
    });
    expect(second.connections.size).toBe(1);
  });
});
