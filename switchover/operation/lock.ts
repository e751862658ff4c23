// One operation at a time: a lease row with a fencing token, kept alive by a timer. The journal refuses
// appends of a controller that lost it, so a controller that slept through its lease stops before its
// next step. A crashed one is evicted at once on the same machine (its process is gone), elsewhere when
// its heartbeat stays out. Safety does not rest on this: brokers check epochs and operation ids.
import { randomUUID } from 'node:crypto';
import { DrError } from '../../core-broker/base/index.ts';
import type { ControlStore, LeaseGuard, LeaseOwner, LeaseRow } from '../control-store/index.ts';

export const OPERATION_LEASE = 'operation';

export interface LockOptions {
  store: ControlStore;
  purpose: string;
  ttlMs: number;
  /** Resume and abort wait until the heartbeat of a silent holder lapses. */
  waitsForLapse: boolean;
  process: { host: string; pid: number; isAlive(pid: number): boolean };
  sleep: (ms: number) => Promise<void>;
}

const LAPSE_POLL_MS = 250;

export class OperationLock {
  readonly guard: LeaseGuard;
  readonly #options: LockOptions;
  readonly #heartbeat: NodeJS.Timeout;

  /** @throws DrError LOCKED with the holder in the message and context */
  static async acquire(options: LockOptions): Promise<OperationLock> {
    const { host, pid } = options.process;
    const owner: LeaseOwner = { id: randomUUID(), host, pid, purpose: options.purpose };
    for (let previous: LeaseRow | undefined; ; ) {
      const answer = await options.store.acquireLease(OPERATION_LEASE, {
        owner,
        ttlMs: options.ttlMs,
        ...(previous && isDead(previous, options) ? { evictToken: previous.token } : {}),
      });
      if (answer.isHeld) return new OperationLock(options, answer.token);
      const { holder } = answer;
      const isNewlyDead = isDead(holder, options) && previous?.token !== holder.token;
      // A holder whose remaining time grew between two looks is alive.
      const isRenewed = previous !== undefined && holder.remainingMs > previous.remainingMs;
      if (!isNewlyDead && (!options.waitsForLapse || isRenewed)) throw locked(holder);
      if (!isNewlyDead) await options.sleep(LAPSE_POLL_MS);
      previous = holder;
    }
  }

  private constructor(options: LockOptions, token: number) {
    this.#options = options;
    this.guard = { lease: OPERATION_LEASE, token };
    this.#heartbeat = setInterval(() => this.#renew(), options.ttlMs / 3);
    this.#heartbeat.unref();
  }

  async release(): Promise<void> {
    clearInterval(this.#heartbeat);
    await this.#options.store.releaseLease(OPERATION_LEASE, this.guard.token);
  }

  #renew(): void {
    const { store, ttlMs } = this.#options;
    store.renewLease(OPERATION_LEASE, this.guard.token, ttlMs).catch(() => {
      // Expected while the store is away: the next beat tries again, and the guard of the journal
      // decides whether the lease was lost meanwhile.
    });
  }
}

const isDead = (holder: LeaseRow, options: LockOptions): boolean =>
  holder.owner.host === options.process.host && !options.process.isAlive(holder.owner.pid);

export function describeHolder({ owner }: LeaseRow): string {
  return `${owner.purpose} of process ${owner.pid} on ${owner.host}`;
}

function locked(holder: LeaseRow): DrError {
  return new DrError('LOCKED', `another operation is running: ${describeHolder(holder)}`, {
    hint: 'wait for it, or look at `dr status`; if that machine is lost, run `dr switchover resume`',
    context: { holder: holder.owner },
  });
}
