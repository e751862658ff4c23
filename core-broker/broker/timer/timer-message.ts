// A parked timer message: when it is due, where it goes, and the record it becomes when it is
// delivered or parked once more (rolled). Pure.
// Source: RocketMQ TimerMessageStore.convert and convertMessage (5.5.0), behaviour only.
import {
  type DecodedRecord,
  formatMessageProperties,
  Property,
  parseMessageProperties,
  TIMER_TOPIC,
} from '../../protocol/index.ts';

/** Java's Long.MAX_VALUE: the mark of a message that was due before it reached the wheel. */
const NEVER_ENQUEUED = '9223372036854775807';

export interface TimerMessage {
  record: DecodedRecord;
  properties: Map<string, string>;
  dueMs: number;
  topic: string;
  queueId: number;
  uniqKey: string | undefined;
  /** It delivers nothing: another one with this key in the same slot is dropped. */
  deleteKey: string | undefined;
}

/** @returns undefined when the record is no timer message that could ever be delivered */
export function readTimerMessage(record: DecodedRecord): TimerMessage | undefined {
  const properties = parseMessageProperties(record.properties);
  const dueMs = Number(properties.get(Property.TIMER_OUT_MS) ?? Number.NaN);
  const topic = properties.get(Property.REAL_TOPIC);
  const queueId = Number(properties.get(Property.REAL_QID) ?? 0);
  if (record.topic !== TIMER_TOPIC || topic === undefined || topic === '') return undefined;
  if (!Number.isSafeInteger(dueMs) || !Number.isInteger(queueId)) return undefined;
  return {
    record,
    properties,
    dueMs,
    topic,
    queueId,
    uniqKey: properties.get(Property.UNIQ_KEY),
    deleteKey: properties.get(Property.TIMER_DEL_UNIQKEY),
  };
}

/** Topic, queue and properties of the delivered record; REAL_TOPIC and REAL_QID stay, as Apache's do. */
export function delivered(message: TimerMessage, enqueuedMs: number | undefined, nowMs: number) {
  const times = [
    [Property.TIMER_ENQUEUE_MS, enqueuedMs === undefined ? NEVER_ENQUEUED : String(enqueuedMs)],
    [Property.TIMER_DEQUEUE_MS, String(nowMs)],
  ] as const;
  const { topic, queueId } = message;
  return { topic, queueId, properties: withTimes(message, times) };
}

/** Nearly every message has none of them yet: they are put behind its text as it stands. */
function withTimes(
  { record, properties }: TimerMessage,
  times: readonly (readonly [string, string])[],
): string {
  if (times.some(([key]) => properties.has(key))) {
    return formatMessageProperties(new Map([...properties, ...times]));
  }
  const text = record.properties;
  const isEnded = text.endsWith('\u0002');
  return `${text}${isEnded ? '' : '\u0002'}${formatMessageProperties(times)}`;
}

/** The same of a message that waits longer than the wheel looks ahead: parked once more. */
export function rolled(message: TimerMessage, enqueuedMs: number, nowMs: number) {
  const properties = new Map(message.properties);
  properties.set(Property.TIMER_ENQUEUE_MS, String(enqueuedMs));
  properties.set(Property.TIMER_ROLL_TIMES, String(rollsOf(message.properties) + 1));
  properties.set(Property.TIMER_DEQUEUE_MS, String(nowMs));
  return { topic: TIMER_TOPIC, queueId: 0, properties: formatMessageProperties(properties) };
}

export const rollsOf = (properties: ReadonlyMap<string, string>): number =>
  Number(properties.get(Property.TIMER_ROLL_TIMES) ?? 0) || 0;
