// A TCP proxy that behaves like a bad WAN, driven by the test that owns it.
// Bytes are never invented, dropped or reordered inside a connection that lives on: a fault either
// delays them, holds them, or ends the connection. Only `mutate` changes bytes, on purpose.
//   cut        resets every connection and every new one until heal()
//   blackhole  nothing passes and nothing is reset, new connections hang; after heal() bytes flow on,
//              as TCP would retransmit them
//   halfOpen   the peer died without a word: open connections stay open for the client for ever and
//              silent; new ones work
import * as net from 'node:net';

export type Direction = 'to-target' | 'to-client';

export interface WanProxy {
  /** host:port for clients. */
  readonly address: string;
  /** Connections that are open now. */
  readonly connections: number;
  /** Bytes passed on so far, per direction. */
  readonly passed: Readonly<Record<Direction, number>>;
  cut(): void;
  /** Resets all connections once `bytes` more bytes went to clients; new connections work. */
  cutAfter(bytes: number): void;
  blackhole(): void;
  halfOpen(): void;
  /** Ends cut and blackhole; delay, rate and mutation stay as they are. */
  heal(): void;
  /** One-way delay in both directions, ms. */
  delay(ms: number): void;
  /** Bytes per second and direction over all connections; 0 = unlimited. */
  rate(bytesPerSec: number): void;
  /** Changes bytes on the way; undefined stops it. */
  mutate(change: ((chunk: Buffer, direction: Direction) => Buffer) | undefined): void;
  /** Points new connections somewhere else. */
  retarget(target: string): void;
  stop(): Promise<void>;
}

const CHUNK_BYTES = 16 * 1024;
const HELD_BYTES_MAX = 1024 * 1024;

interface Weather {
  target: string;
  isCut: boolean;
  isBlackhole: boolean;
  delayMs: number;
  bytesPerSec: number;
  /** Per direction: when the wire is free again (performance.now ms). */
  freeAt: Record<Direction, number>;
  passed: Record<Direction, number>;
  /** Bytes to clients until everything is reset; Infinity = never. */
  cutIn: number;
  change: ((chunk: Buffer, direction: Direction) => Buffer) | undefined;
  onCut(): void;
}

/** One direction of one connection: a queue of chunks, each with its due time. */
class Pipe {
  readonly #from: net.Socket;
  readonly #to: net.Socket;
  readonly #direction: Direction;
  readonly #weather: Weather;
  readonly #queue: { bytes: Buffer; dueAt: number }[] = [];
  #held = 0;
  #isEnded = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: net.Socket, to: net.Socket, direction: Direction, weather: Weather) {
    this.#from = from;
    this.#to = to;
    this.#direction = direction;
    this.#weather = weather;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => {
      this.#isEnded = true;
      this.pump();
    });
    to.on('drain', () => this.pump());
  }

  #take(bytes: Buffer): void {
    const changed = this.#weather.change?.(bytes, this.#direction) ?? bytes;
    const dueAt = performance.now() + this.#weather.delayMs;
    for (let at = 0; at < changed.length; at += CHUNK_BYTES) {
      this.#queue.push({ bytes: changed.subarray(at, at + CHUNK_BYTES), dueAt });
    }
    this.#held += changed.length;
    if (this.#held > HELD_BYTES_MAX) this.#from.pause();
    this.pump();
  }

  /** Passes on everything that is due, or sets a timer for the next piece. */
  pump(): void {
    clearTimeout(this.#timer);
    if (this.#weather.isBlackhole || this.#to.destroyed) return;
    for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
      const waitMs =
        Math.max(head.dueAt, this.#weather.freeAt[this.#direction]) - performance.now();
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.pump(), waitMs);
        return;
      }
      if (this.#to.writableNeedDrain) return;
      this.#queue.shift();
      if (this.#pass(head.bytes)) return;
    }
    if (this.#isEnded) this.#to.end();
  }

  /** True when this piece triggered the cut. */
  #pass(bytes: Buffer): boolean {
    const { weather, direction } = { weather: this.#weather, direction: this.#direction };
    const room = direction === 'to-client' ? weather.cutIn : Number.POSITIVE_INFINITY;
    const part = bytes.length > room ? bytes.subarray(0, room) : bytes;
    this.#held -= bytes.length;
    if (this.#held <= HELD_BYTES_MAX / 2) this.#from.resume();
    weather.passed[direction] += part.length;
    if (weather.bytesPerSec > 0) {
      const start = Math.max(performance.now(), weather.freeAt[direction]);
      weather.freeAt[direction] = start + (part.length / weather.bytesPerSec) * 1000;
    }
    if (direction === 'to-client') weather.cutIn -= part.length;
    const isCutNow = weather.cutIn <= 0;
    // The bytes before the cut must arrive: the reset follows their write.
    this.#to.write(part, () => isCutNow && weather.onCut());
    return isCutNow;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#queue.length = 0;
  }
}

interface Line {
  client: net.Socket;
  upstream: net.Socket | undefined;
  pipes: Pipe[];
  isHalfOpen: boolean;
}

function parse(target: string): { host: string; port: number } {
  const at = target.lastIndexOf(':');
  return { host: target.slice(0, at), port: Number(target.slice(at + 1)) };
}

function drop(line: Line): void {
  for (const pipe of line.pipes) pipe.stop();
  line.client.resetAndDestroy();
  line.upstream?.resetAndDestroy();
}

/** Half-close without a reset: bytes written before still arrive, then the connection ends. */
function finish(line: Line): void {
  for (const pipe of line.pipes) pipe.stop();
  line.client.destroySoon();
  line.upstream?.resetAndDestroy();
}

/** Starts a proxy on 127.0.0.1. @param target host:port; @param port 0 = from the system */
export async function wanProxy(target: string, port = 0): Promise<WanProxy> {
  const lines = new Set<Line>();
  const weather: Weather = {
    target,
    isCut: false,
    isBlackhole: false,
    delayMs: 0,
    bytesPerSec: 0,
    freeAt: { 'to-target': 0, 'to-client': 0 },
    passed: { 'to-target': 0, 'to-client': 0 },
    cutIn: Number.POSITIVE_INFINITY,
    change: undefined,
    onCut() {
      weather.cutIn = Number.POSITIVE_INFINITY;
      for (const line of lines) finish(line);
    },
  };
  const connect = (line: Line): void => {
    if (line.upstream !== undefined || line.client.destroyed) return;
    const upstream = net.connect({ ...parse(weather.target), noDelay: true });
    line.upstream = upstream;
    upstream.on('error', () => line.client.resetAndDestroy());
    upstream.on('close', () => {
      if (!line.isHalfOpen && !line.pipes.length) line.client.destroy();
    });
    line.pipes = [
      new Pipe(line.client, upstream, 'to-target', weather),
      new Pipe(upstream, line.client, 'to-client', weather),
    ];
  };
  const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    client.on('error', () => client.destroy());
    if (weather.isCut) return void client.resetAndDestroy();
    const line: Line = { client, upstream: undefined, pipes: [], isHalfOpen: false };
    lines.add(line);
    client.on('close', () => {
      lines.delete(line);
      for (const pipe of line.pipes) pipe.stop();
      line.upstream?.destroy();
    });
    if (!weather.isBlackhole) connect(line);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const { port: bound } = server.address() as net.AddressInfo;
  const flow = () => {
    for (const line of lines) {
      connect(line);
      for (const pipe of line.pipes) pipe.pump();
    }
  };
  return {
    address: `127.0.0.1:${bound}`,
    get connections() {
      return lines.size;
    },
    passed: weather.passed,
    cut() {
      weather.isCut = true;
      for (const line of lines) drop(line);
    },
    cutAfter(bytes) {
      weather.cutIn = bytes;
    },
    blackhole() {
      weather.isBlackhole = true;
    },
    halfOpen() {
      for (const line of lines) {
        line.isHalfOpen = true;
        for (const pipe of line.pipes) pipe.stop();
        line.upstream?.removeAllListeners('data').on('error', () => undefined);
        line.client.removeAllListeners('data').resume();
        line.upstream?.destroy();
      }
    },
    heal() {
      weather.isCut = false;
      weather.isBlackhole = false;
      flow();
    },
    delay(ms) {
      weather.delayMs = ms;
    },
    rate(bytesPerSec) {
      weather.bytesPerSec = bytesPerSec;
      weather.freeAt = { 'to-target': 0, 'to-client': 0 };
      flow();
    },
    mutate(change) {
      weather.change = change;
    },
    retarget(next) {
      weather.target = next;
    },
    async stop() {
      for (const line of lines) drop(line);
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
