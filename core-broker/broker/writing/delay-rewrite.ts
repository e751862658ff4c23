// A message with a delay level is parked in SCHEDULE_TOPIC_XXXX, queue level - 1, and remembers where
// it belongs in REAL_TOPIC and REAL_QID. The level wins over a delivery time it also asks for.
// Source: HookUtils.transformDelayLevelMessage, checkIfTimerMessage, behaviour only.
import { formatMessageProperties, Property, Topic } from '../../protocol/index.ts';

export interface Target {
  topic: string;
  queueId: number;
}

const TIMES = [Property.TIMER_DELIVER_MS, Property.TIMER_DELAY_SEC, Property.TIMER_DELAY_MS];

/** True for a message with a delivery time of its own. */
export const asksForTime = (properties: ReadonlyMap<string, string>): boolean =>
  TIMES.some((name) => properties.has(name));

/**
 * Turns a target and its properties into those of the parked record.
 * @param level already clamped to the highest one
 */
export function parkForDelay(
  target: Target,
  properties: Map<string, string>,
  level: number,
): Target & { properties: string } {
  for (const name of TIMES) properties.delete(name);
  properties.set(Property.DELAY, String(level));
  properties.set(Property.REAL_TOPIC, target.topic);
  properties.set(Property.REAL_QID, String(target.queueId));
  return {
    topic: Topic.SCHEDULE,
    queueId: level - 1,
    properties: formatMessageProperties(properties),
  };
}
