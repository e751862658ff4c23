// A message that asks for a delivery time is parked in rmq_sys_wheel_timer, queue 0, and remembers where
// it belongs. Time asked for: delay in seconds, else in ms, else the time itself. One that is due already
// goes to its topic at once; a delay level wins over all of them.
// The due time is the start of the slot before it, so that nothing is delivered early.
// Source: HookUtils.checkIfTimerMessage and transformTimerMessage of RocketMQ 5.5.0, behaviour only.
import {
  formatMessageProperties,
  Property,
  ResponseCode,
  TIMER_TOPIC,
} from '../../protocol/index.ts';
import type { BrokerConfig } from '../config/index.ts';
import { refuse } from '../response-codes.ts';
import { asksForTime, type Target } from './delay-rewrite.ts';

export interface TimerRules {
  config: BrokerConfig;
  nowMs: number;
  /** Messages that wait in the slot of a due time. */
  congestion: (dueMs: number) => number;
}

/** True when the message, which has no delay level, is to be parked by parkForTimer. */
export const isTimer = (properties: ReadonlyMap<string, string>): boolean =>
  !properties.has(Property.TIMER_OUT_MS) && asksForTime(properties);

/**
 * Turns a target and its properties into those of the parked record.
 * @returns undefined when it is due already
 * @throws DrError REFUSED with Apache's code and remark
 */
export function parkForTimer(
  target: Target,
  properties: Map<string, string>,
  rules: TimerRules,
): (Target & { properties: string }) | undefined {
  const { config, nowMs } = rules;
  if (!config.timerWheelEnable) {
    const remark = 'accurate timer message is not enabled, timerWheelEnable is false';
    return refuse(ResponseCode.SYSTEM_ERROR, remark);
  }
  const deliverMs = deliveryTime(properties, nowMs);
  if (deliverMs === undefined) return refuseIllegal(config);
  if (deliverMs <= nowMs) {
    return properties.has(Property.TIMER_DEL_UNIQKEY) ? refuseIllegal(config) : undefined;
  }
  if (deliverMs - nowMs > config.timerMaxDelaySec * 1_000) return refuseIllegal(config);
  const dueMs = slotBefore(deliverMs, config.timerPrecisionMs);
  refuseCongested(rules, dueMs);
  properties.set(Property.TIMER_OUT_MS, String(dueMs));
  properties.set(Property.REAL_TOPIC, target.topic);
  properties.set(Property.REAL_QID, String(target.queueId));
  return { topic: TIMER_TOPIC, queueId: 0, properties: formatMessageProperties(properties) };
}

function deliveryTime(properties: ReadonlyMap<string, string>, nowMs: number): number | undefined {
  const seconds = properties.get(Property.TIMER_DELAY_SEC);
  const delay = properties.get(Property.TIMER_DELAY_MS);
  const text = seconds ?? delay ?? properties.get(Property.TIMER_DELIVER_MS) ?? '';
  if (!/^[+-]?\d{1,19}$/.test(text)) return undefined;
  const value = Number(text);
  if (seconds !== undefined) return nowMs + value * 1_000;
  return delay === undefined ? value : nowMs + value;
}

const slotBefore = (deliverMs: number, precisionMs: number): number =>
  Math.ceil(deliverMs / precisionMs - 1) * precisionMs;

function refuseCongested({ config, congestion }: TimerRules, dueMs: number): void {
  const limit = config.timerCongestNumEachSlot;
  const count = congestion(dueMs);
  if (count <= limit) return;
  const share = (1_000 * (count - limit)) / (limit + 0.1);
  if (count < limit * 2 && Math.random() * 1_000 <= share) return;
  refuse(
    ResponseCode.SYSTEM_ERROR,
    `timer message is under flow control, max num limit is ${limit * 2} or the current value is ` +
      `greater than ${limit} and less than ${limit * 2}, trigger random flow control`,
  );
}

const refuseIllegal = (config: BrokerConfig): never =>
  refuse(
    ResponseCode.MESSAGE_ILLEGAL,
    'timer message illegal, the delay time should not be bigger than the max delay ' +
      `${config.timerMaxDelaySec * 1_000}ms; or if set del msg, the delay time should be bigger than ` +
      'the current time',
  );
