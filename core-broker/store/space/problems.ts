// What is wrong with a running store, in sentences for its operator: the same for health, logs and tools.
// Source: ours.
import type { StoreParts } from '../store-parts.ts';

/** A backlog of queues above this is said. */
const DISPATCH_BEHIND_BYTES = 64 * 1024 * 1024;

export function storeProblems({ state, layout }: StoreParts): string[] {
  const problems: string[] = [];
  if (state.failure !== undefined) {
    const why = state.failure.message;
    problems.push(`the store failed and takes no writes until a restart: ${why}`);
  }
  if (state.isDiskFull)
    problems.push(`the disk of ${layout.commitLog} is full; writes are refused`);
  else if (state.isDiskLow) {
    problems.push(`the disk of ${layout.commitLog} is nearly full; writes are refused`);
  }
  if (state.isQueueDiskFull) {
    problems.push(`the disk of ${layout.consumeQueue} is full; new messages cannot be read yet`);
  }
  const behind = state.written - state.dispatched;
  if (behind > DISPATCH_BEHIND_BYTES) problems.push(`queues are ${behind} bytes behind the log`);
  for (const { file, offset } of state.damage) {
    problems.push(`damaged record in ${file} at offset ${offset}`);
  }
  return problems;
}
