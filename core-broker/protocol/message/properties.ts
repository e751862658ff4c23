// Message properties: `key \u0001 value \u0002` repeated, order irrelevant, last \u0002 optional.
// Entries without \u0001 are ignored. The text of a producer is stored as it came; only what a broker
// must change is rebuilt. `scanProperties` finds the keys a broker cares about in one pass over bytes.
// Source: MessageDecoder.string2messageProperties, MessageConst.
import { separatorAt, WordViews } from './words.ts';

const NAME_END = 1;
const VALUE_END = 2;

export const Property = {
  KEYS: 'KEYS',
  TAGS: 'TAGS',
  WAIT: 'WAIT',
  DELAY: 'DELAY',
  RETRY_TOPIC: 'RETRY_TOPIC',
  REAL_TOPIC: 'REAL_TOPIC',
  REAL_QID: 'REAL_QID',
  TRAN_MSG: 'TRAN_MSG',
  PGROUP: 'PGROUP',
  MIN_OFFSET: 'MIN_OFFSET',
  MAX_OFFSET: 'MAX_OFFSET',
  BUYER_ID: 'BUYER_ID',
  ORIGIN_MESSAGE_ID: 'ORIGIN_MESSAGE_ID',
  TRANSFER_FLAG: 'TRANSFER_FLAG',
  CORRECTION_FLAG: 'CORRECTION_FLAG',
  MQ2_FLAG: 'MQ2_FLAG',
  RECONSUME_TIME: 'RECONSUME_TIME',
  MSG_REGION: 'MSG_REGION',
  TRACE_ON: 'TRACE_ON',
  UNIQ_KEY: 'UNIQ_KEY',
  MAX_RECONSUME_TIMES: 'MAX_RECONSUME_TIMES',
  CONSUME_START_TIME: 'CONSUME_START_TIME',
  TRANSACTION_ID: '__transactionId__',
  TRANSACTION_CHECK_TIMES: 'TRANSACTION_CHECK_TIMES',
  TRAN_PREPARED_QUEUE_OFFSET: 'TRAN_PREPARED_QUEUE_OFFSET',
  CHECK_IMMUNITY_TIME_IN_SECONDS: 'CHECK_IMMUNITY_TIME_IN_SECONDS',
  INSTANCE_ID: 'INSTANCE_ID',
  CORRELATION_ID: 'CORRELATION_ID',
  REPLY_TO_CLIENT: 'REPLY_TO_CLIENT',
  TTL: 'TTL',
  ARRIVE_TIME: 'ARRIVE_TIME',
  PUSH_REPLY_TIME: 'PUSH_REPLY_TIME',
  CLUSTER: 'CLUSTER',
  MSG_TYPE: 'MSG_TYPE',
  SHARDING_KEY: '__SHARDINGKEY',
  TIMER_DELAY_SEC: 'TIMER_DELAY_SEC',
  TIMER_DELAY_MS: 'TIMER_DELAY_MS',
  TIMER_DELIVER_MS: 'TIMER_DELIVER_MS',
  TIMER_OUT_MS: 'TIMER_OUT_MS',
  TIMER_ENQUEUE_MS: 'TIMER_ENQUEUE_MS',
  TIMER_DEQUEUE_MS: 'TIMER_DEQUEUE_MS',
  TIMER_ROLL_TIMES: 'TIMER_ROLL_TIMES',
  TIMER_DEL_UNIQKEY: 'TIMER_DEL_UNIQKEY',
  BORN_TIMESTAMP: 'BORN_TIMESTAMP',
  TRACE_CONTEXT: 'TRACE_CONTEXT',
  INNER_NUM: 'INNER_NUM',
  INNER_BASE: 'INNER_BASE',
  INNER_MULTI_DISPATCH: 'INNER_MULTI_DISPATCH',
  INNER_MULTI_QUEUE_OFFSET: 'INNER_MULTI_QUEUE_OFFSET',
  POP_CK: 'POP_CK',
  CRC32: '__CRC32#',
} as const;

/** Text -> map. A later value of a key wins, as in Java. */
export function parseMessageProperties(text: string): Map<string, string> {
  const result = new Map<string, string>();
  for (const entry of text.split('\u0002')) {
    const at = entry.indexOf('\u0001');
    if (at > 0) result.set(entry.slice(0, at), entry.slice(at + 1));
  }
  return result;
}

/** Map -> text with the closing \u0002 that Java writes. */
export function formatMessageProperties(properties: Iterable<readonly [string, string]>): string {
  let text = '';
  for (const [key, value] of properties) text += `${key}\u0001${value}\u0002`;
  return text;
}

/** A range of bytes; start -1 = absent. */
export interface ByteRange {
  start: number;
  end: number;
}

/** The properties a broker looks at, as ranges of the scanned bytes. Reused between messages. */
export class KnownProperties {
  readonly keys: ByteRange = absent();
  readonly tags: ByteRange = absent();
  readonly uniqKey: ByteRange = absent();
  readonly wait: ByteRange = absent();
  readonly delay: ByteRange = absent();
  readonly realTopic: ByteRange = absent();
  readonly realQueueId: ByteRange = absent();
  readonly tranMsg: ByteRange = absent();
  readonly cluster: ByteRange = absent();
  readonly msgRegion: ByteRange = absent();
  readonly traceOn: ByteRange = absent();
  readonly innerNum: ByteRange = absent();
  readonly multiDispatch: ByteRange = absent();
  readonly popCk: ByteRange = absent();
  readonly msgType: ByteRange = absent();
  readonly retryTopic: ByteRange = absent();
  /** Any TIMER_* property that asks for a timer message. */
  readonly timer: ByteRange = absent();
  /** Indexes of the ranges that are set: only these are cleared. */
  readonly touched: Int8Array = new Int8Array(KNOWN.length);
  touchedCount = 0;
  /** False when the text does not end with \u0002: append one before adding a property. */
  isTerminated = true;
  /** The ranges above in the order of KNOWN: indexed access stays fast where access by name is not. */
  readonly all: readonly ByteRange[] = KNOWN.map(([, field]) => this[field]);
}

function absent(): ByteRange {
  return { start: -1, end: -1 };
}

type KnownField = Exclude<
  keyof KnownProperties,
  'isTerminated' | 'all' | 'touched' | 'touchedCount'
>;
const KNOWN: readonly (readonly [name: string, field: KnownField])[] = [
  [Property.KEYS, 'keys'],
  [Property.TAGS, 'tags'],
  [Property.UNIQ_KEY, 'uniqKey'],
  [Property.WAIT, 'wait'],
  [Property.DELAY, 'delay'],
  [Property.REAL_TOPIC, 'realTopic'],
  [Property.REAL_QID, 'realQueueId'],
  [Property.TRAN_MSG, 'tranMsg'],
  [Property.CLUSTER, 'cluster'],
  [Property.MSG_REGION, 'msgRegion'],
  [Property.TRACE_ON, 'traceOn'],
  [Property.INNER_NUM, 'innerNum'],
  [Property.INNER_MULTI_DISPATCH, 'multiDispatch'],
  [Property.POP_CK, 'popCk'],
  [Property.MSG_TYPE, 'msgType'],
  [Property.RETRY_TOPIC, 'retryTopic'],
  [Property.TIMER_DELAY_SEC, 'timer'],
  [Property.TIMER_DELAY_MS, 'timer'],
  [Property.TIMER_DELIVER_MS, 'timer'],
];

/** Candidates by (name length, first byte): at most a few byte compares per property. */
const BUCKETS: { bytes: Buffer; index: number }[][] = Array.from({ length: 1024 }, () => []);
KNOWN.forEach(([name], index) => {
  const bytes = Buffer.from(name);
  BUCKETS[bucketOf(bytes.length, bytes[0] ?? 0)]?.push({ bytes, index });
});

function bucketOf(length: number, first: number): number {
  return ((length & 31) << 5) | (first & 31);
}

const words = new WordViews();

/**
 * Finds the known properties of bytes [start, start + length) in one pass.
 * A later value of a key wins, as in Java.
 */
export function scanProperties(
  bytes: Buffer,
  start: number,
  length: number,
  found: KnownProperties,
): void {
  resetKnown(found);
  const end = start + length;
  found.isTerminated = length === 0 || bytes[end - 1] === VALUE_END;
  const view = words.of(bytes);
  let at = start;
  let nameEnd = -1;
  for (let p = start; at < end; p++) {
    p = separatorAt(bytes, view, p, end);
    if (p < end && bytes[p] !== VALUE_END) {
      if (nameEnd < 0 && bytes[p] === NAME_END) nameEnd = p;
      continue;
    }
    if (nameEnd > at) note(bytes, at, nameEnd, { valueEnd: p, found });
    at = p + 1;
    nameEnd = -1;
  }
}

function note(
  bytes: Buffer,
  at: number,
  nameEnd: number,
  { valueEnd, found }: { valueEnd: number; found: KnownProperties },
): void {
  const length = nameEnd - at;
  const bucket = BUCKETS[bucketOf(length, bytes[at]!)]!;
  for (let i = 0; i < bucket.length; i++) {
    const candidate = bucket[i]!;
    if (candidate.bytes.length !== length || !isAt(bytes, at, candidate.bytes)) continue;
    const range = found.all[candidate.index]!;
    if (range.start < 0) found.touched[found.touchedCount++] = candidate.index;
    range.start = nameEnd + 1;
    range.end = valueEnd;
    return;
  }
}

function isAt(bytes: Buffer, at: number, wanted: Buffer): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

function resetKnown(found: KnownProperties): void {
  const { all, touched } = found;
  for (let i = 0; i < found.touchedCount; i++) all[touched[i]!]!.start = -1;
  found.touchedCount = 0;
}

/** Text of a range, or undefined when absent. */
export const rangeText = (bytes: Buffer, range: ByteRange): string | undefined =>
  range.start < 0 ? undefined : bytes.toString('utf8', range.start, range.end);

/** Value of one property in bytes [start, start + length), or undefined; the last entry wins. */
export function findProperty(bytes: Buffer, area: ByteRange, name: string): string | undefined {
  const wanted = Buffer.from(`${name}\u0001`);
  let value: string | undefined;
  let at = area.start;
  while (at < area.end) {
    const cut = bytes.indexOf(VALUE_END, at);
    const end = cut < 0 || cut > area.end ? area.end : cut;
    if (end - at >= wanted.length && isAt(bytes, at, wanted)) {
      value = bytes.toString('utf8', at + wanted.length, end);
    }
    at = end + 1;
  }
  return value;
}
