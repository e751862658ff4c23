// Wrapper: repeats calls whose error allows it, with back-off.
// Trap: a create-if-absent that timed out may have happened; its retry then sees `exists`. The stored
// bytes decide: equal means this call created the object, anything else means another writer was first.
import { type RetryPolicy, retry } from '../../core-broker/base/index.ts';
import type { ObjectStore, PutOptions, PutResult } from './port.ts';

export const DEFAULT_RETRY: RetryPolicy = { attempts: 5, firstDelayMs: 200, maxDelayMs: 5_000 };

/** Retries every operation of `inner`. */
export function withRetry(inner: ObjectStore, policy: RetryPolicy = DEFAULT_RETRY): ObjectStore {
  const put = async (
    key: string,
    body: Uint8Array,
    options: PutOptions & { large: boolean },
  ): Promise<PutResult> => {
    let tries = 0;
    const result = await retry(policy, () => {
      tries += 1;
      return options.large ? inner.putLarge(key, body, options) : inner.put(key, body, options);
    });
    if (result === 'created' || tries === 1) return result;
    const stored = await retry(policy, () => inner.get(key));
    return stored.equals(body) ? 'created' : 'exists';
  };
  return {
    where: inner.where,
    prepare: () => retry(policy, () => inner.prepare()),
    put: (key, body, options) => put(key, body, { ...options, large: false }),
    putLarge: (key, body, options) => put(key, body, { ...options, large: true }),
    get: (key, range) => retry(policy, () => inner.get(key, range)),
    head: (key) => retry(policy, () => inner.head(key)),
    list: (prefix) => retry(policy, () => inner.list(prefix)),
    delete: (keys) => retry(policy, () => inner.delete(keys)),
    sweep: () => inner.sweep(),
    close: () => inner.close(),
  };
}
