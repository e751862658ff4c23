// Offsets moved by operators: reset to a time or an offset, copy from one group to another.
// A reset is stored at once and handed to the next pull of each queue, so it works whether consumers
// are online or not. Source: AdminBrokerProcessor with useServerSideResetOffset, behaviour only.
import { type RemotingCommand, RequestCode, type ResponseInit } from '../../protocol/index.ts';
import { numberField, textField, timeField } from '../fields.ts';
import { type HandlerContext, requireOwnMetadata } from '../handler-context.ts';
import { OK, okJson } from '../response-codes.ts';
import { existingGroup } from './group-admin.ts';
import { existingTopic, queueName } from './topic-admin.ts';

export function addOffsetAdminHandlers(context: HandlerContext): void {
  const { requests } = context.parts;
  requests.on(RequestCode.INVOKE_BROKER_TO_RESET_OFFSET, (request) => reset(context, request));
  requests.on(RequestCode.CLONE_GROUP_OFFSET, (request) => clone(context, request));
}

function reset(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const topic = textField(request, 'topic');
  const group = textField(request, 'group');
  requireOwnOffsets(context, group);
  const { config } = existingTopic(context, topic);
  existingGroup(context, group);
  const chosen = numberField(request, 'queueId', -1);
  const ids = chosen >= 0 ? [chosen] : Array.from({ length: config.readQueueNums }, (_, id) => id);
  const offsetTable: Record<string, number> = {};
  for (const queueId of ids) {
    const offset = targetOffset(context, request, { topic, queueId });
    context.parts.tables.offsets.reset({ topic, group, queueId }, offset);
    offsetTable[queueName(context, topic, queueId)] = offset;
  }
  // Held pulls of the group would otherwise wait at the old position.
  context.parts.pulls.answerAll();
  return okJson({ offsetTable });
}

/** A given offset wins; a negative time means the end. */
function targetOffset(
  context: HandlerContext,
  request: RemotingCommand,
  queue: { topic: string; queueId: number },
): number {
  const { store } = context.parts;
  const bounds = store.bounds(queue) ?? { min: 0, max: 0 };
  const offset = numberField(request, 'offset', -1);
  if (offset >= 0) return Math.min(Math.max(offset, bounds.min), bounds.max);
  const timestampMs = timeField(request, 'timestamp');
  return timestampMs < 0 ? bounds.max : store.offsetByTime(queue, timestampMs);
}

function clone(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const from = textField(request, 'srcGroup');
  const to = textField(request, 'destGroup');
  requireOwnOffsets(context, to);
  existingGroup(context, from);
  const { offsets } = context.parts.tables;
  const topics = request.ext['topic'] ? [request.ext['topic']] : offsets.topicsOf(from);
  for (const topic of topics) {
    for (const [queueId, offset] of offsets.queuesOf(topic, from)) {
      offsets.commit({ topic, group: to, queueId }, offset);
    }
  }
  return OK;
}

/** A group that consumes at the standby owns its offsets there; all others belong to the active side. */
function requireOwnOffsets(context: HandlerContext, group: string): void {
  if (!context.parts.tables.offsets.isStandbyGroup(group)) requireOwnMetadata(context);
}
