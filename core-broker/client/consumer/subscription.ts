// What a group wants of a topic: RocketMQ's subscription by tags, and the check of the real tag text
// that every client owes (the broker filters by hash only).
import { type SubscriptionData, tagSubscription } from '../../protocol/index.ts';
import type { ReceivedMessage } from '../messages.ts';

/** Subscription from `*`, empty text or `TagA || TagB`; newer versions win on the broker. */
export const subscribe = (topic: string, expression = '*'): SubscriptionData =>
  tagSubscription(topic, expression, Date.now());

/** True when the message carries one of the wanted tags. */
export const isWanted = (subscription: SubscriptionData, message: ReceivedMessage): boolean =>
  subscription.tagsSet.length === 0 || subscription.tagsSet.includes(message.tags ?? '');
