// A gate in a run: while it is shut no worker reads on and nothing new is sent. One shared cell, so that
// workers see it between two pieces of 256 KiB, without a message.
// Invariant: it opens by itself. Shutting it is a lease that whoever watches the broker has to renew;
// a watcher that is gone or silent cannot stop a backup.
import { performance } from 'node:perf_hooks';

const OPEN = 0;
const SHUT = 1;

/** Blocks a worker thread while the gate is shut. */
export function waitWhileShut(cell: Int32Array): void {
  while (Atomics.load(cell, 0) === SHUT) Atomics.wait(cell, 0, SHUT);
}

export class Gate {
  /** Shared with the workers. */
  readonly cell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  #lease: NodeJS.Timeout | undefined;
  #shutAtMs = 0;
  #waiting: (() => void)[] = [];
  #isReleased = false;
  #pauses = 0;
  #pausedMs = 0;

  /** How often and how long it was shut. */
  get tally(): { pauses: number; pausedMs: number } {
    return { pauses: this.#pauses, pausedMs: Math.round(this.#pausedMs) };
  }

  /** Shuts it, or keeps it shut, for so long from now. */
  shut(forMs: number): void {
    if (this.#isReleased) return;
    clearTimeout(this.#lease);
    this.#lease = setTimeout(() => this.#open(), forMs);
    if (Atomics.exchange(this.cell, 0, SHUT) === SHUT) return;
    this.#pauses += 1;
    this.#shutAtMs = performance.now();
  }

  /** Resolves at once while it is open. */
  async passed(): Promise<void> {
    while (Atomics.load(this.cell, 0) === SHUT) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Opens it for good: the run ends. */
  release(): void {
    this.#isReleased = true;
    clearTimeout(this.#lease);
    this.#open();
  }

  #open(): void {
    if (Atomics.exchange(this.cell, 0, OPEN) === OPEN) return;
    this.#pausedMs += performance.now() - this.#shutAtMs;
    Atomics.notify(this.cell, 0);
    for (const go of this.#waiting.splice(0)) go();
  }
}
