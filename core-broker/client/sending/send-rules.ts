// When a failed send may be tried again and on which queue: RocketMQ's rules, as a pure table.
// Source: DefaultMQProducer (sync send) of Java 5.x, behaviour only.
import { DrError } from '../../base/index.ts';
import type { MessageQueue } from '../../protocol/index.ts';
import type { SendStatus } from '../messages.ts';
import { remoteCode } from '../peer-client.ts';

/** Response codes that say "not here": the next try goes to another queue. */
export const RETRY_CODES: ReadonlyMap<number, string> = new Map([
  [1, 'SYSTEM_ERROR'],
  [2, 'SYSTEM_BUSY'],
  [14, 'SERVICE_NOT_AVAILABLE'],
  [16, 'NO_PERMISSION'],
  [17, 'TOPIC_NOT_EXIST'],
  [204, 'NO_BUYER_ID'],
  [205, 'NOT_IN_CURRENT_UNIT'],
]);

/** Codes of a stored message; the last three are successes with a warning. */
export const STORED_CODES: ReadonlyMap<number, SendStatus> = new Map([
  [0, 'SEND_OK'],
  [10, 'FLUSH_DISK_TIMEOUT'],
  [11, 'SLAVE_NOT_AVAILABLE'],
  [12, 'FLUSH_SLAVE_TIMEOUT'],
]);

/** True when the next try may succeed elsewhere. A time-out is one: its effect is unknown. */
export function maySendAgain(reason: DrError): boolean {
  if (DrError.is(reason, 'NETWORK', 'TIMEOUT', 'NO_ROUTE')) return true;
  return RETRY_CODES.has(remoteCode(reason) ?? -1);
}

/**
 * Next queue in turn, away from the broker that failed when there is another.
 * @param turn counts up per send
 */
export function chooseQueue(
  queues: readonly MessageQueue[],
  turn: number,
  avoid: string | undefined,
): MessageQueue | undefined {
  const others = queues.filter((queue) => queue.brokerName !== avoid);
  const pool = others.length > 0 ? others : queues;
  return pool[turn % Math.max(1, pool.length)];
}
