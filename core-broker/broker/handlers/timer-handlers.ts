// What clients and tools ask of the timers: checkpoint (60), metrics (61), recall of a message (370).
// A recall parks a message in the slot of the one it deletes; answered when it may be acknowledged.
// Source: AdminBrokerProcessor, RecallMessageProcessor (5.5.0), behaviour only.
import {
  encodeHost,
  Perm,
  Property,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
} from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import { textField } from '../fields.ts';
import type { HandlerContext } from '../handler-context.ts';
import { okJson, refuse } from '../response-codes.ts';
import { parseRecallHandle, type RecallHandle } from '../send/index.ts';
import { parkForTimer } from '../writing/index.ts';

const UNAVAILABLE = 'recall failed, broker service not available';

export function addTimerHandlers(context: HandlerContext): void {
  const { requests, config } = context.parts;
  requests.on(RequestCode.GET_TIMER_CHECK_POINT, () => {
    if (!config.timerWheelEnable) refuse(ResponseCode.SYSTEM_ERROR, 'The checkpoint is null');
    return { code: ResponseCode.SUCCESS, body: context.timers.checkpoint() };
  });
  requests.on(RequestCode.GET_TIMER_METRICS, () => {
    if (!config.timerWheelEnable) {
      refuse(ResponseCode.SYSTEM_ERROR, 'The timer message store is null');
    }
    return okJson(context.timers.metrics());
  });
  requests.on(RequestCode.RECALL_MESSAGE, (request, connection) =>
    recall(context, request, connection),
  );
}

async function recall(
  context: HandlerContext,
  request: RemotingCommand,
  connection: ServerConnection,
): Promise<ResponseInit> {
  const { parts, writer } = context;
  const { config, clock } = parts;
  const refusal = parts.admission.current.sendBackRefusal();
  if (refusal) return refusal;
  const handle = checkedHandle(context, request);
  const nowMs = clock.nowMs();
  const properties = recallProperties(context, handle, textField(request, 'producerGroup'));
  const parked = parkForTimer({ topic: handle.topic, queueId: 0 }, properties, {
    config,
    nowMs,
    congestion: (dueMs) => context.timers.congestion(dueMs),
  });
  if (parked === undefined)
    return refuse(ResponseCode.SYSTEM_ERROR, 'recall failed, execute error');
  await writer.appendDurably({
    topic: parts.store.topic(parked.topic),
    queueId: parked.queueId,
    body: Buffer.from('0'),
    properties: parked.properties,
    bornTimestampMs: nowMs,
    bornHost: connection.bornHost ?? encodeHost('127.0.0.1', 0),
    flag: 0,
    sysFlag: 0,
    reconsumeTimes: 0,
  });
  return {
    code: ResponseCode.SUCCESS,
    // The words of a response nobody put a remark into, as 5.5.0 sends it.
    remark: 'not set any response code',
    ext: { msgId: handle.uniqKey, MSG_REGION: config.regionId },
  };
}

function checkedHandle(context: HandlerContext, request: RemotingCommand): RecallHandle {
  const { config, clock, tables } = context.parts;
  if (!config.recallMessageEnable) {
    refuse(ResponseCode.NO_PERMISSION, 'recall failed, operation is forbidden');
  }
  const isClosed = (config.brokerPermission & Perm.WRITE) === 0;
  const isEarly = clock.nowMs() < config.startAcceptSendRequestTimeStamp;
  if (isEarly || (isClosed && !config.allowRecallWhenBrokerNotWriteable)) {
    refuse(ResponseCode.SERVICE_NOT_AVAILABLE, UNAVAILABLE);
  }
  const topic = textField(request, 'topic');
  if (!tables.topics.find(topic)) {
    refuse(ResponseCode.TOPIC_NOT_EXIST, `recall failed, the topic[${topic}] not exist`);
  }
  const handle = parseRecallHandle(textField(request, 'recallHandle'));
  if (!handle) return refuse(ResponseCode.ILLEGAL_OPERATION, 'recall handle is invalid');
  if (handle.topic !== topic) illegal('recall failed, topic not match');
  if (handle.brokerName !== config.brokerName) illegal(UNAVAILABLE);
  const leftMs = Number(handle.deliverMs) - clock.nowMs();
  const isValid = /^\d+$/.test(handle.deliverMs) && leftMs > 0;
  if (!isValid || leftMs >= config.timerMaxDelaySec * 1_000) {
    illegal('recall failed, timestamp invalid');
  }
  return handle;
}

const illegal = (remark: string): never => refuse(ResponseCode.ILLEGAL_OPERATION, remark);

function recallProperties(
  { parts }: HandlerContext,
  handle: RecallHandle,
  producerGroup: string,
): Map<string, string> {
  const { topic, uniqKey } = handle;
  const deleteKey = parts.config.appendTopicForTimerDeleteKey ? `${topic}+${uniqKey}` : uniqKey;
  const properties = new Map([
    [Property.TAGS, '_RECALL_TAG_'],
    [Property.TIMER_DEL_UNIQKEY, deleteKey],
    [Property.UNIQ_KEY, uniqKey],
    [Property.TIMER_DELIVER_MS, handle.deliverMs],
    [Property.BORN_TIMESTAMP, String(parts.clock.nowMs())],
    [Property.TRACE_CONTEXT, ''],
    [Property.PGROUP, producerGroup],
  ] as [string, string][]);
  return properties;
}
