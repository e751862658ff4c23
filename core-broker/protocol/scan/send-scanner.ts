// Hot path of SEND (10, 310, 320): one pass over the bytes of a frame, no string, no object, no slice.
// Positions are valid as long as the chunk; un-escaped properties as long as the view is not reused.
// Invariant: `true` means every mandatory field was there once and has its plain type; in every other
// case the caller takes decodeCommand, which is slower and complete.
import { RequestCode } from '../codes.ts';
import { FieldTable } from './field-table.ts';
import { type FrameRange, scanFrame } from './frame-scan.ts';
import { HeaderView, parseFlag, parseNumber } from './header-view.ts';
import type { FieldSet } from './json-header.ts';

/** Field ids; letters of V2 in order, so that both name forms share them. */
export const SendField = {
  PRODUCER_GROUP: 0,
  TOPIC: 1,
  DEFAULT_TOPIC: 2,
  DEFAULT_TOPIC_QUEUE_NUMS: 3,
  QUEUE_ID: 4,
  SYS_FLAG: 5,
  BORN_TIMESTAMP: 6,
  FLAG: 7,
  PROPERTIES: 8,
  RECONSUME_TIMES: 9,
  UNIT_MODE: 10,
  MAX_RECONSUME_TIMES: 11,
  BATCH: 12,
  BROKER_NAME: 13,
} as const;

const LONG_NAMES = [
  'producerGroup',
  'topic',
  'defaultTopic',
  'defaultTopicQueueNums',
  'queueId',
  'sysFlag',
  'bornTimestamp',
  'flag',
  'properties',
  'reconsumeTimes',
  'unitMode',
  'maxReconsumeTimes',
  'batch',
  'bname',
];

const V1: FieldSet = { table: new FieldTable(LONG_NAMES), escapedField: SendField.PROPERTIES };
const V2: FieldSet = {
  table: new FieldTable([...'abcdefghijklmn']),
  escapedField: SendField.PROPERTIES,
};

const MANDATORY = 0b1111_1111;

function sendFields(code: number): FieldSet | undefined {
  if (code === RequestCode.SEND_MESSAGE_V2 || code === RequestCode.SEND_BATCH_MESSAGE) return V2;
  return code === RequestCode.SEND_MESSAGE ? V1 : undefined;
}

/** A send request as numbers and positions. Reused. */
export class SendRequestView extends HeaderView {
  topicStart = 0;
  topicLength = 0;
  groupStart = 0;
  groupLength = 0;
  defaultTopicStart = 0;
  defaultTopicLength = 0;
  defaultTopicQueueNums = 0;
  queueId = 0;
  sysFlag = 0;
  bornTimestampMs = 0;
  flag = 0;
  reconsumeTimes = 0;
  unitMode = false;
  /** -1 when absent. */
  maxReconsumeTimes = -1;
  isBatch = false;
  /** Holds the properties: the chunk itself or `scratch`. */
  properties: Buffer = this.scratch;
  propertiesStart = 0;
  propertiesLength = 0;
}

const range: FrameRange = { start: 0, end: 0 };

/**
 * Scans one frame.
 * @returns false on anything unusual; `view` is then undefined content
 */
export function scanSendRequest(
  chunk: Buffer,
  start: number,
  end: number,
  view: SendRequestView,
): boolean {
  range.start = start;
  range.end = end;
  if (!scanFrame(chunk, range, view, sendFields)) return false;
  if ((view.present & MANDATORY) !== MANDATORY) return false;
  return readTexts(chunk, view) && readNumbers(chunk, view);
}

function readTexts(chunk: Buffer, view: SendRequestView): boolean {
  const { starts, lengths } = view;
  view.groupStart = starts[SendField.PRODUCER_GROUP]!;
  view.groupLength = lengths[SendField.PRODUCER_GROUP]!;
  view.topicStart = starts[SendField.TOPIC]!;
  view.topicLength = lengths[SendField.TOPIC]!;
  view.defaultTopicStart = starts[SendField.DEFAULT_TOPIC]!;
  view.defaultTopicLength = lengths[SendField.DEFAULT_TOPIC]!;
  const hasProperties = view.has(SendField.PROPERTIES);
  view.properties = view.isEscaped ? view.scratch : chunk;
  view.propertiesStart = hasProperties ? starts[SendField.PROPERTIES]! : 0;
  view.propertiesLength = hasProperties ? lengths[SendField.PROPERTIES]! : 0;
  return view.topicLength > 0;
}

function readNumbers(chunk: Buffer, view: SendRequestView): boolean {
  const queueNums = numberAt(chunk, view, SendField.DEFAULT_TOPIC_QUEUE_NUMS);
  const queueId = numberAt(chunk, view, SendField.QUEUE_ID);
  const sysFlag = numberAt(chunk, view, SendField.SYS_FLAG);
  const born = numberAt(chunk, view, SendField.BORN_TIMESTAMP);
  const flag = numberAt(chunk, view, SendField.FLAG);
  const retries = optionalNumber(chunk, view, SendField.RECONSUME_TIMES, 0);
  const retriesMax = optionalNumber(chunk, view, SendField.MAX_RECONSUME_TIMES, -1);
  const unitMode = optionalFlag(chunk, view, SendField.UNIT_MODE);
  const batch = optionalFlag(chunk, view, SendField.BATCH);
  view.defaultTopicQueueNums = queueNums;
  view.queueId = queueId;
  view.sysFlag = sysFlag;
  view.bornTimestampMs = born;
  view.flag = flag;
  view.reconsumeTimes = retries;
  view.maxReconsumeTimes = retriesMax;
  view.unitMode = unitMode === 1;
  view.isBatch = batch === 1 || view.code === RequestCode.SEND_BATCH_MESSAGE;
  // int32 fields must survive the cast.
  const fits =
    isInt32(queueNums) &&
    isInt32(queueId) &&
    isInt32(sysFlag) &&
    isInt32(flag) &&
    isInt32(retries) &&
    isInt32(retriesMax);
  return fits && !Number.isNaN(born);
}

function isInt32(value: number): boolean {
  return (value | 0) === value;
}

function numberAt(chunk: Buffer, view: HeaderView, id: number): number {
  return parseNumber(chunk, view.starts[id]!, view.lengths[id]!);
}

function optionalNumber(chunk: Buffer, view: HeaderView, id: number, fallback: number): number {
  return view.has(id) ? numberAt(chunk, view, id) : fallback;
}

/** As Java reads truth values: what is not "true" in any case is false, also the 1 of C++ clients. */
function optionalFlag(chunk: Buffer, view: HeaderView, id: number): number {
  if (!view.has(id)) return 0;
  const start = view.starts[id]!;
  const value = parseFlag(chunk, start, view.lengths[id]!);
  if (!Number.isNaN(value)) return value;
  return chunk.toString('latin1', start, start + view.lengths[id]!).toLowerCase() === 'true'
    ? 1
    : 0;
}
