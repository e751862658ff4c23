// END_TRANSACTION (37): a producer commits or rolls back its half message; RESUME_CHECK_HALF_MESSAGE
// (323): an operator has a given-up one checked again.
// Order of a commit: final message, then op, in one tick; answered when both are durable. A second commit
// appends a second final message, as Apache does: the broker does not remember how one ended.
// Source: EndTransactionProcessor, AdminBrokerProcessor.resumeCheckHalfMessage, behaviour only.
import { DrError } from '../../base/index.ts';
import {
  decodeRecord,
  Property,
  parseMessageProperties,
  parseOffsetMsgId,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
  SysFlag,
  Topic,
} from '../../protocol/index.ts';
import { flagField, numberField, textField } from '../fields.ts';
import type { HandlerContext } from '../handler-context.ts';
import { OK, refuse } from '../response-codes.ts';
import { draftOf, finalDraft, type HalfContent } from '../transactions/index.ts';

const NOT_FOUND = 'Find prepared transaction message failed';
const RESUME_FAILED = 'Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC.';

/** Where a half record may be fetched from; Apache takes any record. */
const RESUMABLE: ReadonlySet<string> = new Set([Topic.TRANS_HALF, Topic.TRANS_CHECK_MAX_TIME]);

export function addTransactionHandlers(context: HandlerContext): void {
  const { requests } = context.parts;
  requests.on(RequestCode.END_TRANSACTION, (request) => endTransaction(context, request));
  requests.on(RequestCode.RESUME_CHECK_HALF_MESSAGE, (request) => resumeCheck(context, request));
}

/** Undefined: an unknown outcome is not answered, not even when an answer was asked for. */
async function endTransaction(
  context: HandlerContext,
  request: RemotingCommand,
): Promise<ResponseInit | undefined> {
  refuseUnlessOpen(context);
  const outcome = numberField(request, 'commitOrRollback');
  const isCommit = outcome === SysFlag.TRANSACTION_COMMIT;
  if (!isCommit && outcome !== SysFlag.TRANSACTION_ROLLBACK) return undefined;
  const half = checkedHalf(context, request);
  const end = isCommit ? commit(context, half) : 0;
  const { queueId, queueOffset } = half.record;
  const { transactions } = context;
  const opEnd = transactions.ops.settled(queueId, queueOffset);
  if (isCommit) context.stats.transactions.commits++;
  else context.stats.transactions.rollbacks++;
  const last = Math.max(end, opEnd ?? 0);
  if (last > 0) await context.parts.store.durable(last);
  return OK;
}

/** @returns the end of the final message in the log */
function commit(context: HandlerContext, half: HalfContent): number {
  const { store } = context.parts;
  const draft = finalDraft(half, store);
  if (draft === undefined) return refuse(ResponseCode.SYSTEM_ERROR, NOT_FOUND);
  const result = context.writer.append(draft);
  return result.physicalOffset + result.sizeBytes;
}

/** Apache's slaves answer 11; ours are standbys and regions that are closed to writes. */
function refuseUnlessOpen({ parts }: HandlerContext): void {
  const admission = parts.admission.current;
  if (admission.state === 'open') return;
  const remark =
    admission.state === 'refused' ? admission.refusal().remark : 'a switch is under way';
  refuse(ResponseCode.SLAVE_NOT_AVAILABLE, remark);
}

function checkedHalf(context: HandlerContext, request: RemotingCommand): HalfContent {
  const offset = numberField(request, 'commitLogOffset');
  const half = loadHalf(context, offset);
  if (half === undefined || half.record.topic !== Topic.TRANS_HALF) {
    return refuse(ResponseCode.SYSTEM_ERROR, NOT_FOUND);
  }
  const { record, properties } = half;
  if (!flagField(request, 'fromTransactionCheck') && isOverdue(context, half)) {
    refuse(ResponseCode.ILLEGAL_OPERATION, '');
  }
  if (properties.get(Property.PGROUP) !== textField(request, 'producerGroup')) {
    refuse(ResponseCode.SYSTEM_ERROR, 'The producer group wrong');
  }
  if (record.queueOffset !== numberField(request, 'tranStateTableOffset')) {
    refuse(ResponseCode.SYSTEM_ERROR, 'The transaction state table offset wrong');
  }
  return half;
}

/** With an immunity of its own a message is, after it, settled by a check only. */
function isOverdue({ parts }: HandlerContext, { record, properties }: HalfContent): boolean {
  const text = properties.get(Property.CHECK_IMMUNITY_TIME_IN_SECONDS);
  if (!text) return false;
  const wantedMs = /^-?\d{1,12}$/.test(text) ? Number(text) * 1_000 : 0;
  const immuneMs = Math.max(wantedMs, parts.config.transactionTimeOut);
  return parts.clock.nowMs() - record.bornTimestampMs > immuneMs;
}

function loadHalf({ parts }: HandlerContext, offset: number): HalfContent | undefined {
  try {
    const record = decodeRecord(parts.store.readRecord(offset));
    return { record, properties: parseMessageProperties(record.properties) };
  } catch (reason) {
    // Whatever stands there is no half message: Apache does not tell these cases apart.
    if (DrError.is(reason, 'NOT_FOUND') || DrError.is(reason, 'CORRUPT')) return undefined;
    throw reason;
  }
}

async function resumeCheck(
  context: HandlerContext,
  request: RemotingCommand,
): Promise<ResponseInit> {
  refuseUnlessOpen(context);
  const half = loadHalf(context, offsetOf(textField(request, 'msgId')));
  const isHalf = half?.properties.has(Property.REAL_TOPIC) && RESUMABLE.has(half.record.topic);
  if (half === undefined || !isHalf) {
    return refuse(ResponseCode.SYSTEM_ERROR, RESUME_FAILED);
  }
  half.properties.set(Property.TRANSACTION_CHECK_TIMES, '0');
  const topic = context.parts.store.topic(Topic.TRANS_HALF);
  await context.writer.appendDurably(draftOf(half, { topic, queueId: 0 }));
  return OK;
}

function offsetOf(msgId: string): number {
  try {
    return parseOffsetMsgId(msgId).physicalOffset;
  } catch (reason) {
    if (!DrError.is(reason, 'USAGE')) throw reason;
    return refuse(ResponseCode.SYSTEM_ERROR, RESUME_FAILED);
  }
}
