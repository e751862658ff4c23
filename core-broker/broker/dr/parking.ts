// Sends that wait while the region is fenced: copies of whole frames in arrival order.
// Each leaves exactly once: injected again (fence lifted), handed to the relay (sealed) or refused
// (waited too long). Bounded in bytes and in time; the time stays inside the clients' 3 s time-out, so
// a client gets an answer before it gives up and sends a second copy.
// Invariant: order of one connection is never changed. Source: switchover "Planned: two-phase fence".
import { LIMITS } from '../../base/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';

interface ParkedFrame {
  connection: ServerConnection;
  frame: Buffer;
  arrivedMs: number;
  isGone: boolean;
}

export interface ParkingLimits {
  bytesMax: number;
  waitMs: number;
}

export class Parking {
  readonly #limits: ParkingLimits;
  #line: ParkedFrame[] = [];
  #head = 0;
  readonly #byConnection = new Map<ServerConnection, ParkedFrame[]>();
  #bytes = 0;
  #count = 0;

  constructor(limits: Partial<ParkingLimits> = {}) {
    this.#limits = {
      bytesMax: limits.bytesMax ?? LIMITS.parkedBytesMax,
      waitMs: limits.waitMs ?? LIMITS.parkedMs,
    };
  }

  /** Frames that wait. */
  get count(): number {
    return this.#count;
  }

  /** True while frames of this connection wait. */
  has(connection: ServerConnection): boolean {
    return this.#byConnection.get(connection)?.some((entry) => !entry.isGone) ?? false;
  }

  /** Takes ownership of `frame`. @returns false when the byte bound is reached */
  park(connection: ServerConnection, frame: Buffer, nowMs: number): boolean {
    if (this.#bytes + frame.length > this.#limits.bytesMax) return false;
    const entry = { connection, frame, arrivedMs: nowMs, isGone: false };
    this.#line.push(entry);
    const own = this.#byConnection.get(connection);
    if (own === undefined) this.#byConnection.set(connection, [entry]);
    else own.push(entry);
    this.#bytes += frame.length;
    this.#count++;
    return true;
  }

  /** The frame that came first, taken out; undefined when nobody waits. */
  takeFirst(): { connection: ServerConnection; frame: Buffer } | undefined {
    const entry = this.#first();
    if (entry === undefined) return undefined;
    this.#leave(entry);
    return entry;
  }

  /** Everything one connection sent, in order, taken out. */
  takeAllOf(connection: ServerConnection): Buffer[] {
    const own = (this.#byConnection.get(connection) ?? []).filter((entry) => !entry.isGone);
    this.#byConnection.delete(connection);
    for (const entry of own) this.#leave(entry);
    return own.map((entry) => entry.frame);
  }

  /** Frames that waited longer than allowed, taken out. */
  takeExpired(nowMs: number): { connection: ServerConnection; frame: Buffer }[] {
    const expired: ParkedFrame[] = [];
    for (;;) {
      const entry = this.#first();
      if (entry === undefined || nowMs - entry.arrivedMs < this.#limits.waitMs) return expired;
      this.#leave(entry);
      expired.push(entry);
    }
  }

  #first(): ParkedFrame | undefined {
    while (this.#line[this.#head]?.isGone) this.#head++;
    // Amortized: the dead part is cut off when it is the larger one.
    if (this.#head > 1024 && this.#head * 2 > this.#line.length) {
      this.#line = this.#line.slice(this.#head);
      this.#head = 0;
    }
    return this.#line[this.#head];
  }

  #leave(entry: ParkedFrame): void {
    entry.isGone = true;
    this.#bytes -= entry.frame.length;
    this.#count--;
    if (this.#count > 0) return;
    this.#line = [];
    this.#head = 0;
    this.#byConnection.clear();
  }
}
