// Output of one connection: bytes of one tick leave in one socket write, from pooled buffers.
// While a write is under way new bytes gather behind it, so a slow reader costs its bytes and at most
// one half-filled buffer, never one buffer per tick. Bytes written during a socket read leave after all
// reads of this loop turn (setImmediate): flushing per read would starve other connections. Bytes
// written at any other time leave at the end of that callback (nextTick).
// Invariant: a buffer returns to the pool only after its write succeeded.
import type { Socket } from 'node:net';

const BUFFER_BYTES = 64 * 1024;
const POOLED_MAX = 128;
const EMPTY = Buffer.alloc(0);
const pool: Buffer[] = [];

const takeBuffer = (): Buffer => pool.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);

function giveBack(buffer: Buffer): void {
  if (buffer.length === BUFFER_BYTES && pool.length < POOLED_MAX) pool.push(buffer);
}

const dirty: OutputQueue[] = [];
let isArmed = false;
let isReading = false;

/** Runs one socket read; its output leaves after the reads of this loop turn. */
export function duringRead(read: () => void): void {
  isReading = true;
  try {
    read();
  } finally {
    isReading = false;
  }
}

function markDirty(queue: OutputQueue): void {
  dirty.push(queue);
  if (isArmed) return;
  isArmed = true;
  if (isReading) setImmediate(flushDirty);
  else process.nextTick(flushDirty);
}

function flushDirty(): void {
  isArmed = false;
  for (const queue of dirty.splice(0)) queue.flush();
}

/** Told when the number of unsent bytes changed much: the place for back-pressure. */
export type OutputWatcher = (unsentBytes: number) => void;

export class OutputQueue {
  /** The buffer that reserve() positions point into. */
  buffer: Buffer = EMPTY;
  /** Undefined while nothing may leave. */
  #socket: Socket | undefined;
  readonly #watcher: OutputWatcher | undefined;
  #used = 0;
  #full: Buffer[] = [];
  #fullBytes = 0;
  #writingBytes = 0;
  #isDirty = false;
  #isClosed = false;

  constructor(socket: Socket, watcher?: OutputWatcher) {
    this.#socket = socket;
    this.#watcher = watcher;
  }

  /** Goes on with another socket, or holds everything back until there is one. */
  moveTo(socket: Socket | undefined): void {
    this.#socket = socket;
    this.flush();
  }

  /** Bytes accepted here that the socket has not taken. */
  get unsentBytes(): number {
    return this.#writingBytes + this.#fullBytes + this.#used;
  }

  /** Room for `size` bytes: fill `buffer` from the returned position before anything else runs. */
  reserve(size: number): number {
    if (size > this.buffer.length - this.#used) this.#roll(size);
    const at = this.#used;
    this.#used = at + size;
    if (!this.#isDirty) {
      this.#isDirty = true;
      markDirty(this);
    }
    return at;
  }

  /** Copies `bytes` into the queue. */
  write(bytes: Uint8Array): void {
    let from = 0;
    while (from < bytes.length) {
      const room = this.buffer.length - this.#used;
      const count = Math.min(bytes.length - from, room > 0 ? room : BUFFER_BYTES);
      const at = this.reserve(count);
      this.buffer.set(count === bytes.length ? bytes : bytes.subarray(from, from + count), at);
      from += count;
    }
  }

  #roll(size: number): void {
    this.#setAside();
    // Why here: one tick may write any amount, and the limit must hold within it too.
    if (this.#fullBytes > 0) this.#watcher?.(this.unsentBytes);
    // Order: after the watcher, which may close this queue; the caller gets room in any case.
    this.buffer = size > BUFFER_BYTES ? Buffer.allocUnsafeSlow(size) : takeBuffer();
  }

  #setAside(): void {
    if (this.#used === 0) giveBack(this.buffer);
    else this.#full.push(this.buffer.subarray(0, this.#used));
    this.#fullBytes += this.#used;
    this.buffer = EMPTY;
    this.#used = 0;
  }

  /** Hands everything queued to the socket, unless a write is still under way. */
  flush(): void {
    this.#isDirty = false;
    if (this.#isClosed) this.close();
    else if (this.#writingBytes === 0 && this.#fullBytes + this.#used > 0) this.#send();
  }

  /** Hands everything to the socket now, whatever is under way: before detach or end. */
  flushAll(): void {
    if (!this.#isClosed && this.#fullBytes + this.#used > 0) this.#send();
  }

  /** Drops everything: the socket is gone. Later writes go nowhere. */
  close(): void {
    this.#isClosed = true;
    this.#full = [];
    this.#fullBytes = 0;
    this.#used = 0;
    this.buffer = EMPTY;
  }

  #send(): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#setAside();
    const parts = this.#full;
    const bytes = this.#fullBytes;
    this.#full = [];
    this.#fullBytes = 0;
    this.#writingBytes += bytes;
    const done = (reason?: Error | null) => this.#onWritten(parts, bytes, reason);
    if (parts.length === 1) {
      socket.write(parts[0]!, done);
    } else {
      socket.cork();
      for (let i = 0; i < parts.length - 1; i++) socket.write(parts[i]!);
      socket.write(parts[parts.length - 1]!, done);
      socket.uncork();
    }
    this.#watcher?.(this.unsentBytes);
  }

  #onWritten(parts: Buffer[], bytes: number, reason?: Error | null): void {
    this.#writingBytes -= bytes;
    // A failed write also fails the socket: its 'error' and 'close' events do the rest.
    if (reason || this.#isClosed) return;
    for (const part of parts) giveBack(wholeBuffer(part));
    this.flush();
    this.#watcher?.(this.unsentBytes);
  }
}

/** The pooled buffer a part was cut from. */
const wholeBuffer = (part: Buffer): Buffer =>
  part.buffer.byteLength === BUFFER_BYTES ? Buffer.from(part.buffer) : EMPTY;
