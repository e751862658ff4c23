// Back-off with jitter for everything that may be tried again, and waits with an end.
import { sleep } from './clock.ts';
import { DrError } from './errors.ts';

export interface RetryPolicy {
  /** Tries in all, the first included. */
  attempts: number;
  firstDelayMs: number;
  maxDelayMs: number;
  signal?: AbortSignal;
}

/** Delay before try number `attempt` (1 = first retry): doubling, full jitter in the upper half. */
export function backOffMs(
  attempt: number,
  policy: Pick<RetryPolicy, 'firstDelayMs' | 'maxDelayMs'>,
) {
  const ceiling = Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** (attempt - 1));
  return ceiling / 2 + (Math.random() * ceiling) / 2;
}

/**
 * Calls `action` until it succeeds, its error says "never", or the attempts are used up.
 * @throws the last DrError
 */
export async function retry<T>(policy: RetryPolicy, action: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action();
    } catch (reason) {
      const failure = DrError.from(reason);
      if (failure.retry === 'never' || attempt >= policy.attempts) throw failure;
      await sleep(backOffMs(attempt, policy), policy.signal);
    }
  }
}

/** Waits for `work`, at most `ms`; no timer is left behind. @throws what `work` throws in time */
export async function atMost(work: Promise<unknown>, ms: number): Promise<void> {
  const done = new AbortController();
  try {
    await Promise.race([work, sleep(ms, done.signal)]);
  } finally {
    done.abort(new DrError('CANCELLED', 'waited long enough'));
  }
}
