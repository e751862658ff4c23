// One connection to an HA port: reads into a single reused buffer, hands frames on, stops reading while
// the disk or the bandwidth cap asks for it, and notices when the peer is gone without a word.
// The one idea: TCP's window is the queue. While we do not read, the source stops; nothing is buffered
// here beyond one read. Ends exactly once, with the reason; the owner decides about reconnecting.
// Source: ours; one buffer (onread) makes no garbage, however much is copied.
import * as net from 'node:net';
import { DrError, sleep } from '../../core-broker/base/index.ts';
import { encodeReport, HaFrameReader } from './ha-frames.ts';
import type { TokenBucket } from './token-bucket.ts';

const READ_BYTES = 256 * 1024;
const WATCH_MS = 250;

export interface HaStreamOptions {
  /** host:port */
  address: string;
  /** First byte to ask for. */
  position: number;
  connectTimeoutMs: number;
  /** No byte for this long while reading = half-open. */
  silenceMs: number;
  bucket: TokenBucket;
  pendingBytesMax: number;
}

/** What the stream needs of the sink and of its owner. */
export interface HaStreamPorts {
  onBytes(offset: number, bytes: Buffer): void;
  /** After each read: acknowledgements may be due. */
  onRead(): void;
  pendingBytes(): number;
  drained(): Promise<void>;
}

export class HaStream {
  /** Resolves with the reason once the connection is over. */
  readonly ended: Promise<DrError>;
  readonly #options: HaStreamOptions;
  readonly #ports: HaStreamPorts;
  readonly #frames: HaFrameReader;
  readonly #socket: net.Socket;
  readonly #watch: NodeJS.Timeout;
  #isPaused = false;
  #isConnected = false;
  #failure: DrError | undefined;
  #lastReadMs = performance.now();
  #lastDataMs = performance.now();

  constructor(options: HaStreamOptions, ports: HaStreamPorts) {
    this.#options = options;
    this.#ports = ports;
    this.#frames = new HaFrameReader(options.position, {
      onBytes: (offset, bytes) => {
        ports.onBytes(offset, bytes);
        this.#lastDataMs = performance.now();
      },
    });
    this.#socket = this.#connect();
    this.ended = new Promise((resolve) => {
      this.#socket.on('error', (reason) => this.close(DrError.from(reason)));
      this.#socket.on('end', () => this.close(lost('the source closed the connection')));
      this.#socket.on('close', () => {
        clearInterval(this.#watch);
        resolve(this.#failure ?? lost('the connection was closed'));
      });
    });
    this.#watch = setInterval(() => this.#look(), WATCH_MS);
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** When log bytes last came, performance clock; heartbeats do not count. */
  get lastDataMs(): number {
    return this.#lastDataMs;
  }

  /** Tells the source up to where everything is durable here. */
  report(offset: number): void {
    if (this.#isConnected && !this.#socket.destroyed) this.#socket.write(encodeReport(offset));
  }

  /** Idempotent; the first reason counts. */
  close(reason: DrError): void {
    this.#failure ??= reason;
    this.#socket.destroy();
  }

  #connect(): net.Socket {
    const { host, port } = splitAddress(this.#options.address);
    const socket = net.connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafe(READ_BYTES),
        callback: (length, chunk) => this.#onRead(length, chunk as Buffer),
      },
    });
    socket.once('connect', () => {
      this.#isConnected = true;
      this.#lastReadMs = performance.now();
      this.#lastDataMs = this.#lastReadMs;
      this.report(this.#options.position);
    });
    return socket;
  }

  /** False stops reading; see #pauseFor. */
  #onRead(length: number, chunk: Buffer): boolean {
    if (this.#failure !== undefined) return false;
    const nowMs = performance.now();
    this.#lastReadMs = nowMs;
    try {
      this.#frames.feed(chunk, length);
      this.#ports.onRead();
    } catch (reason) {
      this.close(DrError.from(reason));
      return false;
    }
    const waitMs = this.#options.bucket.take(length, nowMs);
    const isFull = this.#ports.pendingBytes() > this.#options.pendingBytesMax;
    if (waitMs === 0 && !isFull) return true;
    this.#isPaused = true;
    this.#pauseFor(waitMs, isFull).catch((reason: unknown) => this.close(DrError.from(reason)));
    return false;
  }

  async #pauseFor(waitMs: number, isFull: boolean): Promise<void> {
    await Promise.all([
      waitMs > 0 ? sleep(waitMs) : undefined,
      isFull ? this.#ports.drained() : undefined,
    ]);
    this.#isPaused = false;
    this.#lastReadMs = performance.now();
    this.#lastDataMs = this.#lastReadMs;
    if (!this.#socket.destroyed) this.#socket.resume();
  }

  #look(): void {
    if (this.#isPaused) return;
    const silentMs = performance.now() - this.#lastReadMs;
    const limitMs = this.#isConnected ? this.#options.silenceMs : this.#options.connectTimeoutMs;
    if (silentMs <= limitMs) return;
    const what = this.#isConnected ? 'half-open: no byte' : 'no connection';
    this.close(
      new DrError('TIMEOUT', `${what} for ${Math.round(silentMs)} ms`, {
        context: { address: this.#options.address, silentMs },
      }),
    );
  }
}

const lost = (what: string): DrError => new DrError('NETWORK', what);

export function splitAddress(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(':');
  return {
    host: address.slice(0, at).replace(/^\[|\]$/g, ''),
    port: Number(address.slice(at + 1)),
  };
}
