// A half message is parked in RMQ_SYS_TRANS_HALF_TOPIC, queue 0, as a message without transaction bits, so
// that it gets a queue offset; where it belongs stands in REAL_TOPIC and REAL_QID.
// Source: TransactionalMessageBridge.parseHalfMessageInner, behaviour only.
import { formatMessageProperties, Property, SysFlag, Topic } from '../../protocol/index.ts';
import type { Target } from './delay-rewrite.ts';

/** Turns a target and its properties into those of the half record. */
export function parkAsHalf(
  target: Target,
  properties: Map<string, string>,
): Target & { properties: string } {
  const unique = properties.get(Property.UNIQ_KEY);
  if (unique) properties.set(Property.TRANSACTION_ID, unique);
  properties.set(Property.REAL_TOPIC, target.topic);
  properties.set(Property.REAL_QID, String(target.queueId));
  return {
    topic: Topic.TRANS_HALF,
    queueId: 0,
    properties: formatMessageProperties(properties),
  };
}

/** sysFlag with another transaction type: 0, TRANSACTION_COMMIT, ... */
export const withTransactionType = (sysFlag: number, type: number): number =>
  (sysFlag & ~SysFlag.TRANSACTION_ROLLBACK) | type;
