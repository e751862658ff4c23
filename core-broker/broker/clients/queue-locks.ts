// Locks of orderly consumers: group + queue -> client, in memory, for one broker. A lock that was not
// renewed for 60 s is free; clients renew every 20 s and stop trusting theirs after 30 s, so two
// clients never both believe they own a queue. After a switch the table starts empty.
// Source: RocketMQ RebalanceLockManager, behaviour only.
import type { Clock } from '../../base/index.ts';

/** Validity of a lock since its last renewal. */
export const LOCK_MS = 60_000;

interface Lock {
  clientId: string;
  renewedMs: number;
}

export class QueueLocks {
  readonly #clock: Clock;
  readonly #groups = new Map<string, Map<string, Lock>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Takes or renews a lock. @returns whether the client owns it now */
  take(group: string, queue: string, clientId: string): boolean {
    const locks = this.#groups.get(group) ?? new Map<string, Lock>();
    this.#groups.set(group, locks);
    const present = locks.get(queue);
    const nowMs = this.#clock.monotonicMs();
    if (present && present.clientId !== clientId && nowMs - present.renewedMs <= LOCK_MS) {
      return false;
    }
    locks.set(queue, { clientId, renewedMs: nowMs });
    return true;
  }

  /** Frees a lock if the client owns it. */
  release(group: string, queue: string, clientId: string): void {
    const locks = this.#groups.get(group);
    if (locks?.get(queue)?.clientId !== clientId) return;
    locks.delete(queue);
    if (locks.size === 0) this.#groups.delete(group);
  }

  /** Whether any queue of the group is locked now. */
  isLocked(group: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    const locks = this.#groups.get(group)?.values() ?? [];
    return [...locks].some((lock) => nowMs - lock.renewedMs <= LOCK_MS);
  }

  /** Drops expired locks; called now and then, so that abandoned groups cost nothing. */
  sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [group, locks] of this.#groups) {
      for (const [queue, lock] of locks) {
        if (nowMs - lock.renewedMs > LOCK_MS) locks.delete(queue);
      }
      if (locks.size === 0) this.#groups.delete(group);
    }
  }
}
