// What a group wants of a topic: a tag expression in RocketMQ's heartbeat form, and the check of the
// real tag text that every client owes (the broker filters by hash only).
import { javaHashCode } from '../../protocol/index.ts';
import type { ReceivedMessage } from '../messages.ts';

export interface Subscription {
  topic: string;
  /** `*` or `TagA || TagB`. */
  expression: string;
  tags: ReadonlySet<string>;
  version: number;
}

/** Parses a tag expression; empty text and `*` mean every message. */
export function subscribe(topic: string, expression = '*'): Subscription {
  const parts = expression.split('||').map((part) => part.trim());
  const tags = new Set(parts.filter((part) => part !== '' && part !== '*'));
  const all = parts.includes('*') || tags.size === 0;
  return {
    topic,
    expression: all ? '*' : [...tags].join(' || '),
    tags: all ? new Set() : tags,
    version: Date.now(),
  };
}

/** SubscriptionData of a heartbeat. */
export function subscriptionData(subscription: Subscription): object {
  return {
    classFilterMode: false,
    codeSet: [...subscription.tags].map(javaHashCode),
    expressionType: 'TAG',
    subString: subscription.expression,
    subVersion: subscription.version,
    tagsSet: [...subscription.tags],
    topic: subscription.topic,
  };
}

/** True when the message carries one of the wanted tags. */
export const isWanted = (subscription: Subscription, message: ReceivedMessage): boolean =>
  subscription.tags.size === 0 || subscription.tags.has(message.tags ?? '');
