// The older way of code 222 (before 5.2, or useServerSideResetOffset=false): the broker computes where each
// queue should go on and tells every online member of the group (220); they move and commit. C++ asks for
// the table in a form of its own. Source: Broker2Client.resetOffset, behaviour only.
import {
  MqVersion,
  messageQueueKey,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
  toQueueKeyedJson,
} from '../../protocol/index.ts';
import { flagField, textField, timeField } from '../fields.ts';
import { type HandlerContext, requireOwnMetadata } from '../handler-context.ts';
import { okJson, refuse } from '../response-codes.ts';

interface Target {
  topic: string;
  brokerName: string;
  queueId: number;
  offset: number;
}

export function pushReset(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const topic = textField(request, 'topic');
  const group = textField(request, 'group');
  if (!context.parts.tables.offsets.isStandbyGroup(group)) requireOwnMetadata(context);
  const targets = targetsOf(context, request, { topic, group });
  const timestamp = timeField(request, 'timestamp');
  const members = [...(context.consumers.find(group)?.channels.values() ?? [])];
  if (members.length === 0) {
    refuse(
      ResponseCode.CONSUMER_NOT_ONLINE,
      'Consumer not online, so can not reset offset, ' +
        `Group: ${group} Topic: ${topic} Timestamp: ${timestamp}`,
    );
  }
  const tooOld = members.find((member) => member.version < MqVersion.V3_0_7_SNAPSHOT);
  if (tooOld) {
    refuse(
      ResponseCode.SYSTEM_ERROR,
      `the client does not support this feature. version=${tooOld.version}`,
    );
  }
  const offsetTable = Object.fromEntries(
    targets.map((target) => [messageQueueKey(target), target.offset]),
  );
  const isForC = request.language === 'CPP';
  const body = toQueueKeyedJson({ offsetTable: isForC ? targets : offsetTable });
  const init = {
    code: RequestCode.RESET_CONSUMER_CLIENT_OFFSET,
    ext: { topic, group, timestamp, isForce: false },
    body,
  };
  for (const { connection } of members) connection.notify(init);
  return okJson({ offsetTable });
}

/** Every write queue; one the group has no offset for means that the group does not exist. */
function targetsOf(
  context: HandlerContext,
  request: RemotingCommand,
  { topic, group }: { topic: string; group: string },
): Target[] {
  const { store, tables, config } = context.parts;
  const topicConfig = tables.topics.find(topic)?.config;
  if (!topicConfig) {
    return refuse(
      ResponseCode.TOPIC_NOT_EXIST,
      `[reset-offset] reset offset failed, no topic in this broker. topic=${topic}`,
    );
  }
  const timestampMs = timeField(request, 'timestamp');
  const isForced = flagField(request, 'isForce');
  return Array.from({ length: topicConfig.writeQueueNums }, (_, queueId) => {
    const queue = { topic, queueId };
    const stored = tables.offsets.query({ ...queue, group });
    if (stored === -1) {
      // The tools look for these words and then move the offsets themselves.
      return refuse(ResponseCode.SYSTEM_ERROR, `THe consumer group <${group}> not exist`);
    }
    const found =
      timestampMs === -1
        ? (store.bounds(queue)?.max ?? 0)
        : store.offsetByTime(queue, Math.max(timestampMs, 0));
    const offset = isForced || found < stored ? found : stored;
    return { topic, brokerName: config.brokerName, queueId, offset };
  });
}
