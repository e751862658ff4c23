// Waits for a condition, never for a time; gives up after a generous bound.
import { setTimeout as pause } from 'node:timers/promises';

export async function until(holds: () => Promise<boolean> | boolean, limitMs = 30_000) {
  const end = Date.now() + limitMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('the condition did not come true');
    await pause(20);
  }
}
