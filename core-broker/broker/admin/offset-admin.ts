// Offsets moved by operators: reset to a time or an offset, copy from one group to another, and the
// smallest offsets of all groups. A reset is stored at once and handed to the next pull of each queue, so
// it works whether consumers are online or not; with useServerSideResetOffset=false it is pushed to them.
// Source: AdminBrokerProcessor.resetOffsetInner, ConsumerOffsetManager, behaviour only.
import {
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
} from '../../protocol/index.ts';
import { numberField, textField, timeField } from '../fields.ts';
import { type HandlerContext, requireOwnMetadata } from '../handler-context.ts';
import { OK, okJson, refuse } from '../response-codes.ts';
import { pushReset } from './reset-push.ts';
import { queueName } from './topic-admin.ts';

/** Java's Long.MAX_VALUE as text: more than a number holds exactly. */
const NEVER = '9223372036854775807';

export function addOffsetAdminHandlers(context: HandlerContext): void {
  const { requests, config } = context.parts;
  requests.on(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, (request) =>
    config.useServerSideResetOffset ? reset(context, request) : pushReset(context, request),
  );
  requests.on(RequestCode.CLONE_GROUP_OFFSET, (request) => clone(context, request));
  requests.on(RequestCode.QUERY_CORRECTION_OFFSET, (request) => smallest(context, request));
}

function reset(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const topic = textField(request, 'topic');
  const group = textField(request, 'group');
  requireOwnOffsets(context, group);
  const { tables } = context.parts;
  const config = tables.topics.find(topic)?.config;
  if (!config) return refuse(ResponseCode.TOPIC_NOT_EXIST, `Topic ${topic} does not exist`);
  if (!tables.groups.find(group)) {
    refuse(ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST, `Group ${group} does not exist`);
  }
  const chosen = numberField(request, 'queueId', -1);
  const ids = chosen >= 0 ? [chosen] : Array.from({ length: config.readQueueNums }, (_, id) => id);
  if (ids.length === 0) refuse(ResponseCode.SYSTEM_ERROR, 'No queues to reset.');
  const targets = ids.map((queueId) => ({
    queueId,
    offset: chosen >= 0 ? givenOffset(context, request, { topic, queueId }) : -1,
  }));
  const offsetTable: Record<string, number> = {};
  for (const { queueId, offset: given } of targets) {
    const offset = given >= 0 ? given : offsetAt(context, request, { topic, queueId });
    tables.offsets.reset({ topic, group, queueId }, offset);
    offsetTable[queueName(context, topic, queueId)] = offset;
  }
  // Held pulls of the group would otherwise wait at the old position.
  context.parts.pulls.answerAll();
  return okJson({ offsetTable });
}

interface Queue {
  topic: string;
  queueId: number;
}

/** An offset named for one queue, -1 when none is; it must lie in the queue. */
function givenOffset(context: HandlerContext, request: RemotingCommand, queue: Queue): number {
  const offset = numberField(request, 'offset', -1);
  if (offset === -1) return -1;
  const { min, max } = context.parts.store.bounds(queue) ?? { min: 0, max: 0 };
  if (offset >= min && offset <= max + 1) return Math.min(offset, max);
  return refuse(
    ResponseCode.SYSTEM_ERROR,
    `Target offset ${offset} not in consume queue range [${min}-${max}]`,
  );
}

/** Where a time stands in a queue; a negative time means the end. */
function offsetAt(context: HandlerContext, request: RemotingCommand, queue: Queue): number {
  const { store } = context.parts;
  const timestampMs = timeField(request, 'timestamp');
  if (timestampMs < 0) return store.bounds(queue)?.max ?? 0;
  return store.offsetByTime(queue, timestampMs);
}

/** Topics without a configuration, or not subscribed while members are online, are left out. */
function clone(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const from = textField(request, 'srcGroup');
  const to = textField(request, 'destGroup');
  requireOwnOffsets(context, to);
  const { offsets, topics } = context.parts.tables;
  const { topic: named, offline } = request.ext;
  const members = context.consumers.find(from)?.subscriptions;
  for (const topic of named ? [named] : offsets.topicsOf(from)) {
    if (topics.find(topic) === undefined) continue;
    if (offline !== 'true' && members && members.size > 0 && !members.has(topic)) continue;
    for (const [queueId, offset] of offsets.queuesOf(topic, from)) {
      offsets.commit({ topic, group: to, queueId }, offset);
    }
  }
  return OK;
}

/** Per queue the smallest offset of all groups; "never" where one group to compare with is behind it. */
function smallest(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const topic = textField(request, 'topic');
  const { offsets } = context.parts.tables;
  const left = new Set((request.ext['filterGroups'] ?? '').split(','));
  const smallestOf = new Map<number, number>();
  for (const group of offsets.groupsOf(topic).filter((name) => !left.has(name))) {
    for (const [queueId, offset] of offsets.queuesOf(topic, group)) {
      if (offset < (context.parts.store.bounds({ topic, queueId })?.min ?? 0)) continue;
      smallestOf.set(queueId, Math.min(offset, smallestOf.get(queueId) ?? offset));
    }
  }
  const rows = new Map([...smallestOf].map(([queueId, offset]) => [queueId, String(offset)]));
  for (const [queueId, offset] of offsets.queuesOf(topic, textField(request, 'compareGroup'))) {
    if ((smallestOf.get(queueId) ?? 0) > offset) rows.set(queueId, NEVER);
  }
  const text = [...rows].map(([queueId, offset]) => `${queueId}:${offset}`).join(',');
  return { code: ResponseCode.SUCCESS, body: `{"correctionOffsets":{${text}}}` };
}

/** A group that consumes at the standby owns its offsets there; all others belong to the active side. */
export function requireOwnOffsets(context: HandlerContext, group: string): void {
  if (!context.parts.tables.offsets.isStandbyGroup(group)) requireOwnMetadata(context);
}
