// Finds a queue offset by store time: binary search over the entries, one record head read per step.
// Store times of a queue grow with its offsets unless the clock was set back; then any answer of the
// search is as good as another, as with Apache.
// Source: RocketMQ ConsumeQueue.getOffsetInQueueByTime (5.x boundary rules), behaviour only.
import type { LogView } from '../read/log-view.ts';
import type { ConsumeQueue } from './consume-queue.ts';

/** First offset with store time >= ms; max behind the last message. */
export function lowerByTime(queue: ConsumeQueue, view: LogView, ms: number): number {
  return firstWhere(queue, (n) => keptTimeOf(queue, view, n) >= ms);
}

/** Last offset with store time <= ms; min before the first message. */
export function upperByTime(queue: ConsumeQueue, view: LogView, ms: number): number {
  const after = firstWhere(queue, (n) => keptTimeOf(queue, view, n) > ms);
  return Math.max(queue.min, after - 1);
}

/** Store time of entry n; 0 for a padded one. */
export function timeOf(queue: ConsumeQueue, view: LogView, n: number): number {
  const physical = queue.physicalAt(n);
  return physical < 0 ? 0 : view.storeTimeAt(physical);
}

/** Retention takes files before it moves the queues' beginnings: what is gone counts as older than all. */
function keptTimeOf(queue: ConsumeQueue, view: LogView, n: number): number {
  const physical = queue.physicalAt(n);
  return physical < view.minOffset ? 0 : view.storeTimeAt(physical);
}

function firstWhere(queue: ConsumeQueue, holds: (n: number) => boolean): number {
  let low = queue.min;
  let high = queue.max;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (holds(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}
