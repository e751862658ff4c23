// Requests of ours that wait for an answer on one connection: opaque -> promise, each with a time-out.
// Opaque numbers of the two directions of a connection are independent.
// Invariant: every waiter is settled exactly once, also when the connection closes.
import { DrError } from '../base/index.ts';
import type { RemotingCommand } from '../protocol/index.ts';

interface Waiter {
  resolve: (response: RemotingCommand) => void;
  reject: (reason: DrError) => void;
  timer: NodeJS.Timeout;
}

const WAITERS_MAX = 65_535;
const OPAQUE_MAX = 0x7fffffff;

export class OpaqueTable {
  readonly #waiters = new Map<number, Waiter>();
  #next = 1;

  get size(): number {
    return this.#waiters.size;
  }

  /** A number no waiter of this table uses. */
  nextOpaque(): number {
    do this.#next = this.#next >= OPAQUE_MAX ? 1 : this.#next + 1;
    while (this.#waiters.has(this.#next));
    return this.#next;
  }

  /**
   * Waits for the answer to `opaque`.
   * @param onTimeout called before the TIMEOUT error is thrown
   * @throws DrError TIMEOUT, BUSY, or what failAll() was given
   */
  wait(opaque: number, timeoutMs: number, onTimeout?: () => void): Promise<RemotingCommand> {
    if (this.#waiters.size >= WAITERS_MAX) {
      return Promise.reject(new DrError('BUSY', 'too many requests wait on one connection'));
    }
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(opaque);
        onTimeout?.();
        reject(new DrError('TIMEOUT', `no answer within ${timeoutMs} ms`));
      }, timeoutMs);
      this.#waiters.set(opaque, { resolve, reject, timer });
    });
  }

  /** @returns false when nobody waits for it: too late, or never asked */
  settle(response: RemotingCommand): boolean {
    const waiter = this.#take(response.opaque);
    waiter?.resolve(response);
    return waiter !== undefined;
  }

  /** Settles one waiter with an error, e.g. when its request could not be written. */
  fail(opaque: number, reason: DrError): void {
    this.#take(opaque)?.reject(reason);
  }

  failAll(reason: DrError): void {
    for (const opaque of [...this.#waiters.keys()]) this.fail(opaque, reason);
  }

  #take(opaque: number): Waiter | undefined {
    const waiter = this.#waiters.get(opaque);
    if (waiter === undefined) return undefined;
    clearTimeout(waiter.timer);
    this.#waiters.delete(opaque);
    return waiter;
  }
}
