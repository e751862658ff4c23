// The framed TCP server of brokers, name servers and gateways. One listener may be served on several
// ports (main and VIP); limits hold over all of them.
// Reading: 'events' uses documented stream events. 'reused' puts one receive buffer under all accepted
// sockets, as `onread` does for clients; Node offers that for accepted sockets only by rebuilding them
// from their handle, so it is off unless asked for. See accepted-socket.ts.
import * as net from 'node:net';
import { createLog, gauge, LIMITS, listenProblem } from '../base/index.ts';
import { canReuse, freeChunk, type ReceiveMode, startReading } from './accepted-socket.ts';
import type { FrameListener, ServerConnection } from './door.ts';
import type { PartialBudget } from './frame-reader.ts';
import { AcceptedConnection, type ConnectionHost } from './server-connection.ts';
import type { ServerTls } from './tls/index.ts';

const log = createLog('remoting');
const KEEP_ALIVE_MS = 30_000;
const SWEEPS_PER_IDLE = 4;

const openConnections = gauge({
  name: 'dr_remoting_connections',
  help: 'connections accepted and open, all servers of this process',
});

export interface RemotingServerOptions {
  host: string;
  /** 0 lets the system choose. */
  port: number;
  listener: FrameListener;
  idleMs?: number;
  frameBytesMax?: number;
  /** Unsent bytes of one connection above which it is closed. */
  outputBytesMax?: number;
  connectionsMax?: number;
  /** Bytes of unfinished frames over all connections; the one that passes it is closed. */
  partialBytesMax?: number;
  receive?: ReceiveMode;
  /** Judges the first byte of each connection; without it everything is plain text. */
  tls?: ServerTls | undefined;
}

type Sink = (chunk: Buffer, end: number) => boolean;

/** Order: after this read, when the bytes that came lie in the socket again. */
function secure(connection: AcceptedConnection, tls: ServerTls, first: Buffer | undefined): void {
  const raw = connection.release(first);
  setImmediate(() => {
    if (raw.destroyed) return;
    tls.accept(raw, (socket) => connection.adopt(socket));
  });
}

export class RemotingServer implements ConnectionHost {
  readonly listener: FrameListener;
  readonly frameBytesMax: number;
  readonly outputBytesMax: number;
  readonly partial: PartialBudget;
  readonly #options: RemotingServerOptions;
  readonly #connections = new Set<AcceptedConnection>();
  readonly #servers: net.Server[] = [];
  #sweeper: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: RemotingServerOptions) {
    this.#options = options;
    this.listener = options.listener;
    this.frameBytesMax = options.frameBytesMax ?? LIMITS.frameBytesMax;
    this.outputBytesMax = options.outputBytesMax ?? LIMITS.connectionOutputBytesMax;
    const maxBytes = options.partialBytesMax ?? LIMITS.partialFrameBytesMax;
    this.partial = { usedBytes: 0, maxBytes };
  }

  /** Opens the main port. @returns the real port @throws DrError LOCKED, CONFIG */
  listen(): Promise<number> {
    return this.listenAlso(this.#options.port);
  }

  /** Opens one more port with the same listener. @returns the real port @throws DrError LOCKED, CONFIG */
  listenAlso(port: number): Promise<number> {
    const { host } = this.#options;
    const reused = this.#options.receive === 'reused';
    const server = net.createServer({ noDelay: true, pauseOnConnect: reused }, (socket) =>
      this.#accept(socket),
    );
    return new Promise((resolve, reject) => {
      server.once('error', (cause) => reject(listenProblem(cause, { what: 'server', host, port })));
      server.listen({ host, port, backlog: 1024 }, () => {
        server.on('error', (reason) => log.warn('listener.failed', reason.message));
        this.#servers.push(server);
        this.#startSweeper();
        this.#options.tls?.start();
        resolve((server.address() as net.AddressInfo).port);
      });
    });
  }

  /** Main port, known after listen(). */
  get port(): number {
    const address = this.#servers[0]?.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  get connections(): ReadonlySet<ServerConnection> {
    return this.#connections;
  }

  #accept(socket: net.Socket): void {
    const max = this.#options.connectionsMax ?? LIMITS.connectionsMax;
    // A peer that is gone already has no address.
    if (this.#isClosed || this.#connections.size >= max || !socket.remoteAddress) {
      socket.destroy();
      return;
    }
    let connection: AcceptedConnection | undefined;
    const mode = this.#options.receive ?? 'events';
    const isEvents = mode === 'events' || !canReuse(socket);
    const plain: Sink = (chunk, end) => {
      if (connection === undefined) return true;
      const isOurs = connection.receive(chunk, end);
      // A reused chunk is the buffer of all sockets.
      if (isEvents && connection.isChunkFree) freeChunk(chunk);
      return isOurs;
    };
    // Why replaced and not asked: the first byte counts once, every later read must cost nothing more.
    let sink: Sink = plain;
    const { tls } = this.#options;
    if (tls !== undefined) {
      sink = (chunk, end) => {
        sink = plain;
        const first = tls.judge(chunk[0]);
        if (first === 'plain' || connection === undefined) return plain(chunk, end);
        sink = () => false;
        if (first === 'refused') connection.close();
        else secure(connection, tls, isEvents ? Buffer.from(chunk.subarray(0, end)) : undefined);
        return false;
      };
    }
    const own = startReading(socket, mode, (chunk, end) => sink(chunk, end));
    own.setKeepAlive(true, KEEP_ALIVE_MS);
    connection = new AcceptedConnection(own, this);
    this.#connections.add(connection);
    openConnections.inc();
    connection.opened();
  }

  onGone(connection: AcceptedConnection): void {
    if (this.#connections.delete(connection)) openConnections.dec();
  }

  /** Why sweeps: no clock is read per frame; four sweeps without a byte mean idle. */
  #startSweeper(): void {
    const idleMs = this.#options.idleMs ?? LIMITS.connectionIdleMs;
    this.#sweeper ??= setInterval(() => {
      for (const connection of this.#connections) {
        if (++connection.idleSweeps > SWEEPS_PER_IDLE) connection.close();
      }
    }, idleMs / SWEEPS_PER_IDLE).unref();
  }

  /** Stops listening and closes every connection after its queued answers. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#options.tls?.stop();
    clearInterval(this.#sweeper);
    const closed = this.#servers.map(
      (server) => new Promise<void>((done) => server.close(() => done())),
    );
    for (const connection of [...this.#connections]) connection.close();
    await Promise.all(closed);
  }
}
