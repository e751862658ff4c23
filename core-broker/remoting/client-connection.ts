// One connection of a RemotingClient: pipelined requests, answers by opaque, requests of the peer.
// Received bytes land in one reused buffer; only decoded commands leave it.
// Invariant: a connection that timed out without receiving anything since is destroyed, so a half-open
// peer costs one time-out and not one per call.
import type * as net from 'node:net';
import { DrError, LIMITS } from '../base/index.ts';
import {
  decodeCommand,
  encodeCommand,
  encodeRequest,
  FLAG_RESPONSE,
  type HostPort,
  isOneway,
  isResponse,
  type RemotingCommand,
  type RequestInit,
} from '../protocol/index.ts';
import { FrameReader } from './frame-reader.ts';
import { OpaqueTable } from './opaque-table.ts';
import { duringRead, OutputQueue } from './output-queue.ts';
import { openSocket, type TlsClientSettings } from './tls/index.ts';

const RECEIVE_BYTES = 64 * 1024;
const KEEP_ALIVE_MS = 30_000;
/** How long close() lets queued requests leave, ms. */
const CLOSE_LINGER_MS = 1_000;

export interface ClientConnectionHost {
  /** Answers a request of the peer; undefined = no answer. */
  onRequest(request: RemotingCommand): RemotingCommand | undefined;
  onClose(): void;
}

export class ClientConnection {
  readonly #address: string;
  readonly #socket: net.Socket;
  readonly #host: ClientConnectionHost;
  readonly #waiting = new OpaqueTable();
  readonly #output: OutputQueue;
  readonly #reader: FrameReader;
  /** Reads so far: tells whether anything came since a request was sent. */
  #reads = 0;
  #failure: DrError | undefined;
  #isReady = false;
  readonly #ready: Promise<void>;

  constructor(
    target: HostPort & {
      address: string;
      connectTimeoutMs: number;
      tls?: TlsClientSettings | undefined;
    },
    host: ClientConnectionHost,
  ) {
    this.#address = target.address;
    this.#host = host;
    const budget = { usedBytes: 0, maxBytes: LIMITS.frameBytesMax };
    this.#reader = new FrameReader(
      (c, s, e) => this.#onFrame(c, s, e),
      LIMITS.frameBytesMax,
      budget,
    );
    const plain: net.TcpNetConnectOpts = {
      host: target.host,
      port: target.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_MS,
      onread: {
        buffer: Buffer.allocUnsafeSlow(RECEIVE_BYTES),
        callback: (size: number, bytes: Uint8Array): boolean => {
          this.#receive(bytes as Buffer, size);
          return true;
        },
      },
    };
    const { socket, ready } = openSocket(plain, target.tls);
    this.#socket = socket;
    if (target.tls !== undefined) {
      socket.on('data', (chunk: Buffer) => this.#receive(chunk, chunk.length));
    }
    this.#output = new OutputQueue(this.#socket);
    this.#socket.setTimeout(LIMITS.connectionIdleMs, () => this.#onIdle());
    this.#ready = this.#connected(ready, target.connectTimeoutMs);
    // A caller that gave up before must not turn a failed connect into an unhandled rejection.
    this.#ready.catch((reason: DrError) => this.#fail(reason));
    this.#socket.on('error', (cause) => this.#fail(this.#networkError(cause)));
    // Why not at its close only: in between, a call would be written to a peer that reads no more.
    this.#socket.on('end', () => this.#fail(this.#networkError()));
    this.#socket.on('close', () => this.#fail(this.#networkError()));
  }

  get isOpen(): boolean {
    return this.#failure === undefined;
  }

  get isConnecting(): boolean {
    return this.isOpen && !this.#isReady;
  }

  #connected(event: 'connect' | 'secureConnect', timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const text = `${this.#address} did not accept a connection within ${timeoutMs} ms`;
      const timer = setTimeout(() => reject(new DrError('NETWORK', text)), timeoutMs);
      this.#socket.once(event, () => {
        this.#isReady = true;
        clearTimeout(timer);
        resolve();
      });
      this.#socket.once('close', () => reject(this.#failure ?? this.#networkError()));
      this.#socket.once('close', () => clearTimeout(timer));
    });
  }

  /** Resolves when connected. @throws DrError NETWORK, also when it takes too long: nothing was sent */
  ready(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const text = `${this.#address} did not accept a connection within ${timeoutMs} ms`;
      const timer = setTimeout(() => reject(new DrError('NETWORK', text)), timeoutMs);
      this.#ready.then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  /** @throws DrError NETWORK, TIMEOUT, BUSY, PROTOCOL */
  async invoke(request: RequestInit, timeoutMs: number): Promise<RemotingCommand> {
    const opaque = this.#waiting.nextOpaque();
    const frame = encodeRequest(request, opaque);
    this.#checkWritable();
    const readsBefore = this.#reads;
    const answer = this.#waiting.wait(opaque, timeoutMs, () => {
      if (this.#reads === readsBefore) {
        this.#fail(
          new DrError('NETWORK', `${this.#address} is silent; the connection was dropped`),
        );
      }
    });
    this.#output.write(frame);
    return answer;
  }

  /** @throws DrError NETWORK, BUSY, PROTOCOL */
  oneway(request: RequestInit): void {
    const frame = encodeRequest(request, this.#waiting.nextOpaque(), { oneway: true });
    this.#checkWritable();
    this.#output.write(frame);
  }

  #checkWritable(): void {
    if (this.#failure) throw this.#failure;
    if (this.#output.unsentBytes > LIMITS.connectionOutputBytesMax) {
      throw new DrError('BUSY', `${this.#address} does not take more requests`);
    }
  }

  #receive(chunk: Buffer, size: number): void {
    this.#reads++;
    duringRead(() => {
      try {
        this.#reader.push(chunk, size);
      } catch (reason) {
        this.#fail(DrError.from(reason));
      }
    });
  }

  #onFrame(chunk: Buffer, start: number, end: number): void {
    const command = decodeCommand(chunk, start, end);
    if (isResponse(command)) {
      this.#waiting.settle(command);
      return;
    }
    const answer = this.#host.onRequest(command);
    if (answer === undefined || isOneway(command) || !this.isOpen) return;
    const flag = answer.flag | FLAG_RESPONSE;
    this.#output.write(encodeCommand({ ...answer, opaque: command.opaque, flag }));
  }

  #onIdle(): void {
    if (this.#waiting.size === 0) this.close();
  }

  close(reason?: DrError): void {
    if (this.#failure) return;
    this.#output.flushAll();
    this.#leave(reason ?? new DrError('NETWORK', `the connection to ${this.#address} was closed`));
    this.#socket.destroySoon();
    const linger = setTimeout(() => this.#socket.destroy(), CLOSE_LINGER_MS).unref();
    this.#socket.once('close', () => clearTimeout(linger));
  }

  #fail(reason: DrError): void {
    this.#leave(reason);
    this.#socket.destroy();
  }

  #leave(reason: DrError): void {
    if (this.#failure) return;
    this.#failure = reason;
    this.#reader.stop();
    this.#output.close();
    this.#waiting.failAll(reason);
    this.#host.onClose();
  }

  #networkError(cause?: Error): DrError {
    const why = cause ? cause.message : 'the connection was lost';
    return new DrError('NETWORK', `${this.#address}: ${why}`, { cause });
  }
}
