// Waits until a check passes, as long as a busy machine needs; the library's own limit is one second.
import { vi } from 'vitest';

/** @throws the last failure of `check` when it still fails after a minute */
export function patiently<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 60_000, interval: 5 });
}
