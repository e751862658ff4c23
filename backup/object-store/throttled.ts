// Wrapper: bounds the bytes per second that go to and come from a target, so that a backup does not
// starve the broker's replication of the same network. A bucket that may run into debt: a large object
// passes at once and the next call waits for it, which keeps the long-run rate exact.
import { type Clock, sleep, systemClock } from '../../core-broker/base/index.ts';
import type { ObjectStore } from './port.ts';

export interface Pace {
  /** Waits until earlier bytes are paid for, then books `bytes`. */
  take(bytes: number): Promise<void>;
}

/** One pace shared by all calls. @param bytesPerSecondMax  > 0 */
export function createPace(bytesPerSecondMax: number, clock: Clock = systemClock): Pace {
  let paidUntilMs = clock.monotonicMs();
  return {
    async take(bytes) {
      const now = clock.monotonicMs();
      const start = Math.max(now, paidUntilMs);
      paidUntilMs = start + (bytes / bytesPerSecondMax) * 1000;
      if (start > now) await sleep(start - now);
    },
  };
}

/** Paces puts and gets of `inner`; lists and deletes carry no data and pass. */
export function withThrottle(inner: ObjectStore, pace: Pace): ObjectStore {
  return {
    where: inner.where,
    prepare: () => inner.prepare(),
    async put(key, body, options) {
      await pace.take(body.length);
      return inner.put(key, body, options);
    },
    async putLarge(key, body, options) {
      await pace.take(body.length);
      return inner.putLarge(key, body, options);
    },
    async get(key, range) {
      const bytes = await inner.get(key, range);
      await pace.take(bytes.length);
      return bytes;
    },
    head: (key) => inner.head(key),
    list: (prefix) => inner.list(prefix),
    delete: (keys) => inner.delete(keys),
    sweep: () => inner.sweep(),
    close: () => inner.close(),
  };
}
