// Ends of queues whose messages retention has removed from the log: nothing in the log says where such a
// queue stands. When queues are built again from the log, these ends must come from the old files, else
// the queue would count from 0 again and groups would skip what is sent next.
// Source: ours; Apache keeps the last file of every queue for the same reason.
import type { QueueRef } from '../door.ts';
import type { TopicTable } from '../queue/topic-table.ts';

export type ExpiredEnds = (QueueRef & { end: number })[];

/** Queues whose last entry points below the log. */
export function expiredEnds(topics: TopicTable, logMin: number): ExpiredEnds {
  const ends: ExpiredEnds = [];
  for (const queue of topics.all()) {
    const { topic, queueId, max } = queue;
    if (max > 0 && queue.physicalAt(max - 1) < logMin) ends.push({ topic, queueId, end: max });
  }
  return ends;
}

/** After the rebuild: these queues go on where they ended. */
export function restoreEnds(topics: TopicTable, ends: ExpiredEnds): void {
  for (const { topic, queueId, end } of ends) {
    topics.queue(topics.intern(topic), queueId).beginAt(end);
  }
}
