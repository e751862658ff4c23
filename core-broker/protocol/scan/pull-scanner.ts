// Hot path of PULL (11, 361): as the send scanner, for the fields of a pull.
// Invariant: `true` means every mandatory field was there once and has its plain type.
import { RequestCode } from '../codes.ts';
import { FieldTable } from './field-table.ts';
import { type FrameRange, scanFrame } from './frame-scan.ts';
import { HeaderView, parseNumber } from './header-view.ts';
import type { FieldSet } from './json-header.ts';

export const PullField = {
  CONSUMER_GROUP: 0,
  TOPIC: 1,
  QUEUE_ID: 2,
  QUEUE_OFFSET: 3,
  MAX_MSG_NUMS: 4,
  SYS_FLAG: 5,
  COMMIT_OFFSET: 6,
  SUSPEND_TIMEOUT: 7,
  SUB_VERSION: 8,
  SUBSCRIPTION: 9,
  EXPRESSION_TYPE: 10,
  MAX_MSG_BYTES: 11,
  REQUEST_SOURCE: 12,
} as const;

const FIELDS: FieldSet = {
  table: new FieldTable([
    'consumerGroup',
    'topic',
    'queueId',
    'queueOffset',
    'maxMsgNums',
    'sysFlag',
    'commitOffset',
    'suspendTimeoutMillis',
    'subVersion',
    'subscription',
    'expressionType',
    'maxMsgBytes',
    'requestSource',
  ]),
  escapedField: -1,
};

const MANDATORY = 0b1_1111_1111;

const pullFields = (code: number): FieldSet | undefined =>
  code === RequestCode.PULL_MESSAGE || code === RequestCode.LITE_PULL_MESSAGE ? FIELDS : undefined;

/** A pull request as numbers and positions. Reused. */
export class PullRequestView extends HeaderView {
  groupStart = 0;
  groupLength = 0;
  topicStart = 0;
  topicLength = 0;
  /** -1 when absent. */
  subscriptionStart = -1;
  subscriptionLength = 0;
  /** -1 when absent, which means TAG. */
  expressionTypeStart = -1;
  expressionTypeLength = 0;
  queueId = 0;
  queueOffset = 0;
  maxMsgNums = 0;
  sysFlag = 0;
  commitOffset = 0;
  suspendTimeoutMs = 0;
  subVersion = 0;
  /** -1 when absent. */
  maxMsgBytes = -1;
}

const range: FrameRange = { start: 0, end: 0 };

/**
 * Scans one frame.
 * @returns false on anything unusual; `view` is then undefined content
 */
export function scanPullRequest(
  chunk: Buffer,
  start: number,
  end: number,
  view: PullRequestView,
): boolean {
  range.start = start;
  range.end = end;
  if (!scanFrame(chunk, range, view, pullFields)) return false;
  if ((view.present & MANDATORY) !== MANDATORY) return false;
  readTexts(view);
  return readNumbers(chunk, view);
}

function readTexts(view: PullRequestView): void {
  const { starts, lengths } = view;
  view.groupStart = starts[PullField.CONSUMER_GROUP]!;
  view.groupLength = lengths[PullField.CONSUMER_GROUP]!;
  view.topicStart = starts[PullField.TOPIC]!;
  view.topicLength = lengths[PullField.TOPIC]!;
  const hasSubscription = view.has(PullField.SUBSCRIPTION);
  view.subscriptionStart = hasSubscription ? starts[PullField.SUBSCRIPTION]! : -1;
  view.subscriptionLength = hasSubscription ? lengths[PullField.SUBSCRIPTION]! : 0;
  const hasType = view.has(PullField.EXPRESSION_TYPE);
  view.expressionTypeStart = hasType ? starts[PullField.EXPRESSION_TYPE]! : -1;
  view.expressionTypeLength = hasType ? lengths[PullField.EXPRESSION_TYPE]! : 0;
}

function readNumbers(chunk: Buffer, view: PullRequestView): boolean {
  view.queueId = numberAt(chunk, view, PullField.QUEUE_ID);
  view.queueOffset = numberAt(chunk, view, PullField.QUEUE_OFFSET);
  view.maxMsgNums = numberAt(chunk, view, PullField.MAX_MSG_NUMS);
  view.sysFlag = numberAt(chunk, view, PullField.SYS_FLAG);
  view.commitOffset = numberAt(chunk, view, PullField.COMMIT_OFFSET);
  view.suspendTimeoutMs = numberAt(chunk, view, PullField.SUSPEND_TIMEOUT);
  view.subVersion = numberAt(chunk, view, PullField.SUB_VERSION);
  const hasBytes = view.has(PullField.MAX_MSG_BYTES);
  view.maxMsgBytes = hasBytes ? numberAt(chunk, view, PullField.MAX_MSG_BYTES) : -1;
  const longs = view.queueOffset + view.commitOffset + view.suspendTimeoutMs + view.subVersion;
  return (
    isInt32(view.queueId) &&
    isInt32(view.maxMsgNums) &&
    isInt32(view.sysFlag) &&
    isInt32(view.maxMsgBytes) &&
    !Number.isNaN(longs)
  );
}

function isInt32(value: number): boolean {
  return (value | 0) === value;
}

function numberAt(chunk: Buffer, view: HeaderView, id: number): number {
  return parseNumber(chunk, view.starts[id]!, view.lengths[id]!);
}
