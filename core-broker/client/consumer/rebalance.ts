// Which queues one consumer of a group owns: RocketMQ's AVG strategy, computed by every member alone.
// Pure. Invariant: for equal inputs the shares of all members are disjoint and cover every queue.
// Source: AllocateMessageQueueAveragely, behaviour only.
import type { MessageQueue } from '../../protocol/index.ts';

/** Stable text key of a queue. */
export const queueKey = (queue: MessageQueue): string =>
  `${queue.topic}@${queue.brokerName}@${queue.queueId}`;

/** Java's MessageQueue order: topic, broker name, queue id. */
export function compareQueues(left: MessageQueue, right: MessageQueue): number {
  return (
    compareText(left.topic, right.topic) ||
    compareText(left.brokerName, right.brokerName) ||
    left.queueId - right.queueId
  );
}

// UTF-16 code units, as Java's String.compareTo; localeCompare would order differently.
const compareText = (left: string, right: string): number =>
  left === right ? 0 : left < right ? -1 : 1;

/** Share of `clientId`; empty when it is not a member (the broker has not seen its heartbeat). */
export function allocateAverage(
  clientId: string,
  members: readonly string[],
  queues: readonly MessageQueue[],
): MessageQueue[] {
  const ids = [...new Set(members)].sort(compareText);
  const index = ids.indexOf(clientId);
  if (index < 0 || queues.length === 0) return [];
  const sorted = [...queues].sort(compareQueues);
  const rest = sorted.length % ids.length;
  const base = Math.floor(sorted.length / ids.length);
  const size = index < rest ? base + 1 : base;
  const start = index < rest ? index * size : index * base + rest;
  return sorted.slice(start, start + size);
}
