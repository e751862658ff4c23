// A proxy on 127.0.0.1 that knows where remoting frames begin and end, so that a test can stop one
// request before it has an effect, or its answer after it had one. Bytes are never changed; a frame that
// is held keeps everything behind it on its connection waiting, as a slow network would.
// A held request outlives its sender: released later it arrives as the late packet of a dead process.
import * as net from 'node:net';

export interface TappedFrame {
  code: number;
  opaque: number;
  isResponse: boolean;
  /** Header as text; a test looks for a topic or a body field in it. */
  header: string;
}

export interface Held {
  /** Resolves when the frame is in the proxy's hand. */
  readonly reached: Promise<void>;
  readonly isReached: boolean;
  /** Lets it go (or stops waiting for it). */
  release(): void;
}

export interface HoldRule {
  /** Picks the request. */
  request(frame: TappedFrame): boolean;
  /** Hold the request itself, or the answer to it. */
  what: 'request' | 'response';
}

export interface FrameTap {
  readonly address: string;
  /** Holds the next frame of this kind, once. */
  hold(rule: HoldRule): Held;
  /** Refuses and resets everything until heal(). */
  cut(): void;
  heal(): void;
  stop(): Promise<void>;
}

interface Pending extends Held {
  rule: HoldRule;
  reach(): void;
  waiting: (() => void)[];
  isOver: boolean;
}

interface Lane {
  /** Response opaque -> hold that waits for it. */
  awaited: Map<number, Pending>;
  client: net.Socket;
  upstream: net.Socket;
}

class FrameTapServer implements FrameTap {
  readonly #target: { host: string; port: number };
  readonly #rules = new Set<Pending>();
  readonly #lanes = new Set<Lane>();
  readonly #server: net.Server;
  #isCut = false;
  address = '';

  constructor(target: string) {
    const at = target.lastIndexOf(':');
    this.#target = { host: target.slice(0, at), port: Number(target.slice(at + 1)) };
    this.#server = net.createServer({ noDelay: true }, (client) => this.#accept(client));
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.address = `127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`;
    return this;
  }

  hold(rule: HoldRule): Held {
    const { promise, resolve } = Promise.withResolvers<void>();
    const pending: Pending = {
      rule,
      reached: promise,
      isReached: false,
      isOver: false,
      waiting: [],
      reach() {
        Object.assign(pending, { isReached: true });
        resolve();
      },
      release: () => {
        pending.isOver = true;
        this.#rules.delete(pending);
        for (const go of pending.waiting.splice(0)) go();
      },
    };
    this.#rules.add(pending);
    return pending;
  }

  cut(): void {
    this.#isCut = true;
    for (const { client, upstream } of this.#lanes) {
      client.resetAndDestroy();
      upstream.resetAndDestroy();
    }
  }

  heal(): void {
    this.#isCut = false;
  }

  async stop(): Promise<void> {
    this.cut();
    for (const rule of this.#rules) rule.release();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(client: net.Socket): void {
    client.on('error', () => client.destroy());
    if (this.#isCut) return void client.resetAndDestroy();
    const upstream = net.connect({ ...this.#target, noDelay: true });
    const lane: Lane = { awaited: new Map(), client, upstream };
    this.#lanes.add(lane);
    const toTarget = new FramePipe((bytes) => upstream.write(bytes));
    const toClient = new FramePipe((bytes) => client.destroyed || client.write(bytes));
    upstream.on('error', () => client.resetAndDestroy());
    upstream.on('close', () => {
      this.#lanes.delete(lane);
      client.destroySoon();
    });
    client.on('data', (bytes) => toTarget.take(bytes, (frame) => this.#onRequest(lane, frame)));
    upstream.on('data', (bytes) => toClient.take(bytes, (frame) => this.#onAnswer(lane, frame)));
    // A held request still goes out after its sender died; then the connection ends.
    client.on('close', () => toTarget.whenEmpty(() => upstream.end()));
  }

  #onRequest(lane: Lane, frame: TappedFrame): Pending | undefined {
    if (frame.isResponse) return undefined;
    for (const pending of this.#rules) {
      if (pending.isReached || !pending.rule.request(frame)) continue;
      if (pending.rule.what === 'request') {
        pending.reach();
        return pending;
      }
      this.#rules.delete(pending);
      lane.awaited.set(frame.opaque, pending);
      return undefined;
    }
    return undefined;
  }

  #onAnswer(lane: Lane, frame: TappedFrame): Pending | undefined {
    const pending = frame.isResponse ? lane.awaited.get(frame.opaque) : undefined;
    if (!pending) return undefined;
    lane.awaited.delete(frame.opaque);
    pending.reach();
    return pending;
  }
}

/** One direction: whole frames go on as they come, until one is held. */
class FramePipe {
  readonly #write: (bytes: Buffer) => void;
  #rest: Buffer = Buffer.alloc(0);
  #isHeld = false;
  #onFrame: ((frame: TappedFrame) => Pending | undefined) | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(write: (bytes: Buffer) => void) {
    this.#write = write;
  }

  take(bytes: Buffer, onFrame: (frame: TappedFrame) => Pending | undefined): void {
    this.#onFrame = onFrame;
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    this.#pump();
  }

  whenEmpty(then: () => void): void {
    this.#onEmpty = then;
    this.#pump();
  }

  #pump(): void {
    while (!this.#isHeld && this.#rest.length >= 4) {
      const size = 4 + this.#rest.readInt32BE(0);
      if (this.#rest.length < size) break;
      const bytes = this.#rest.subarray(0, size);
      this.#rest = this.#rest.subarray(size);
      const pending = this.#onFrame?.(parseFrame(bytes));
      if (!pending || pending.isOver) this.#write(bytes);
      else this.#wait(pending, bytes);
    }
    if (!this.#isHeld) this.#onEmpty?.();
  }

  #wait(pending: Pending, bytes: Buffer): void {
    this.#isHeld = true;
    pending.waiting.push(() => {
      this.#isHeld = false;
      this.#write(bytes);
      this.#pump();
    });
  }
}

/** Frame: total length, header length with the serialize type in its top byte, header, body. */
function parseFrame(bytes: Buffer): TappedFrame {
  const mark = bytes.readInt32BE(4);
  const header = bytes.subarray(8, 8 + (mark & 0xffffff));
  const text = header.toString('latin1');
  if (mark >>> 24 === 1) {
    const flag = header.readInt32BE(9);
    const opaque = header.readInt32BE(5);
    return { code: header.readInt16BE(0), opaque, isResponse: (flag & 1) === 1, header: text };
  }
  const { code, opaque, flag } = JSON.parse(text) as { code: number; opaque: number; flag: number };
  return { code, opaque, isResponse: (flag & 1) === 1, header: text };
}

/** Starts a tap in front of `target` (host:port). */
export const frameTap = (target: string): Promise<FrameTap> => new FrameTapServer(target).listen();
