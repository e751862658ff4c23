// Topics a forced promotion finds in the log but not in the table: they were created at the dead side
// after the last copy of its metadata. Without a table entry they have no route, so their messages,
// though here, could not be read, and clients would keep the route of the dead side for ever.
// A planned switch needs none of this: its final sync is complete. A topic that was deleted at the source
// while its queues are still here comes back this way; that is the smaller harm. Source: ours.
import { createLog } from '../../../base/index.ts';
import { isRetryTopic, newTopicConfig, Perm } from '../../../protocol/index.ts';
import type { BrokerParts } from '../../parts.ts';

const log = createLog('dr');

/** Gives every queue of the log a topic; durable on return. */
export function adoptUnknownTopics({ store, tables, config }: BrokerParts): void {
  const queues = new Map<string, number>();
  for (const { topic, queueId } of store.queues()) {
    if (tables.topics.find(topic) !== undefined) continue;
    queues.set(topic, Math.max(queues.get(topic) ?? 0, queueId + 1));
  }
  if (queues.size === 0) return;
  const perm = Perm.READ | Perm.WRITE;
  const found = [...queues].map(([topic, count]) => {
    // What it had is not known: what auto-creation gives, and enough for what is there.
    const usual = isRetryTopic(topic) ? 1 : config.defaultTopicQueueNums;
    return newTopicConfig(topic, Math.max(count, usual), perm);
  });
  tables.topics.put(...found);
  log.warn('topics.adopted', 'topics of the log that the copied metadata lacks', {
    topics: [...queues.keys()],
  });
}
