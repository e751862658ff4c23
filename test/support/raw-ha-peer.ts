// A peer on an HA port that knows only the classic protocol, as a stock slave does: it reports an offset
// and takes frames. Written from the protocol table alone, with nothing of ours inside.
import * as net from 'node:net';

export interface HaFrame {
  offset: number;
  size: number;
}

export class RawHaPeer {
  readonly frames: HaFrame[] = [];
  readonly #socket: net.Socket;
  readonly #waiting = new Set<() => void>();
  #received = Buffer.alloc(0);
  #body: Buffer[] = [];
  bodyBytes = 0;
  isClosed = false;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#parse();
      this.#wake();
    });
    socket.on('error', () => this.#wake());
    socket.on('close', () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  static connect(port: number): Promise<RawHaPeer> {
    return new Promise((resolve, reject) => {
      const socket = net.connect(port, '127.0.0.1');
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RawHaPeer(socket));
      });
    });
  }

  report(offset: number): void {
    this.#socket.write(int64(offset));
  }

  /** Sends raw bytes, e.g. half a report. */
  send(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  get body(): Buffer {
    return Buffer.concat(this.#body);
  }

  /** Resolves when `isDone` holds; asked again after everything that arrives. */
  async until(isDone: (peer: RawHaPeer) => boolean): Promise<void> {
    while (!isDone(this)) {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  #parse(): void {
    for (;;) {
      if (this.#received.length < 12) return;
      const offset = Number(this.#received.readBigInt64BE(0));
      const size = this.#received.readInt32BE(8);
      if (this.#received.length < 12 + size) return;
      this.frames.push({ offset, size });
      this.#body.push(this.#received.subarray(12, 12 + size));
      this.bodyBytes += size;
      this.#received = this.#received.subarray(12 + size);
    }
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}

export function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt(value));
  return bytes;
}
