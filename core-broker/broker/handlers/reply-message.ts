// SEND_REPLY_MESSAGE: the answer to a request message. It is pushed to the client that asked (found by
// the id in REPLY_TO_CLIENT, among the producers' heartbeats) and its answer decides ours; then it is
// also kept in the reply topic, which is only a record: a store that refuses it changes nothing.
// Source: ReplyMessageProcessor, behaviour only.
import { createLog, DrError } from '../../base/index.ts';
import {
  decodeHost,
  formatMessageProperties,
  formatOffsetMsgId,
  isSendForbidden,
  Perm,
  Property,
  parseMessageProperties,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
  topicProblem,
} from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import type { HandlerContext } from '../handler-context.ts';
import type { Topic } from '../metadata/index.ts';
import { refusalOf, refuse } from '../response-codes.ts';
import { readSendFields, type SendFields } from './send-fields.ts';

const log = createLog('reply');

/** How long the client that asked may take to say that it has the answer. */
const PUSH_MS = 10_000;
const NO_BODY = Buffer.alloc(0);

interface Reply {
  request: RemotingCommand;
  connection: ServerConnection;
  fields: SendFields;
  topic: Topic;
  queueId: number;
}

export function addReplyHandler(context: HandlerContext): void {
  const { requests } = context.parts;
  const handler = (request: RemotingCommand, connection: ServerConnection) =>
    handle(context, request, connection);
  requests.on(RequestCode.SEND_REPLY_MESSAGE, handler);
  requests.on(RequestCode.SEND_REPLY_MESSAGE_V2, handler);
}

async function handle(
  context: HandlerContext,
  request: RemotingCommand,
  connection: ServerConnection,
): Promise<ResponseInit> {
  const { config } = context.parts;
  const ext = { MSG_REGION: config.regionId, TRACE_ON: config.traceOn };
  let reply: Reply;
  try {
    const fields = readSendFields(request);
    const topic = checkedTopic(context, fields);
    const queues = Math.max(topic.config.writeQueueNums, 1);
    const queueId = fields.queueId < 0 ? Math.floor(Math.random() * queues) : fields.queueId;
    reply = { request, connection, fields, topic, queueId };
  } catch (reason) {
    return { ...refusalOf(reason, context.parts.admission.current), ext };
  }
  const problem = await push(context, reply);
  const stored = config.storeReplyMessageEnable ? await store(context, reply) : undefined;
  const place = stored ?? (problem ? {} : { msgId: '0', queueOffset: 0 });
  return {
    code: problem ? ResponseCode.SYSTEM_ERROR : ResponseCode.SUCCESS,
    ...(problem ? { remark: problem } : {}),
    ext: { ...ext, queueId: reply.queueId, ...place },
  };
}

function checkedTopic(context: HandlerContext, fields: SendFields): Topic {
  const { config, clock, tables } = context.parts;
  if (clock.nowMs() < config.startAcceptSendRequestTimeStamp) {
    const until = new Date(config.startAcceptSendRequestTimeStamp).toISOString();
    refuse(ResponseCode.SYSTEM_ERROR, `broker unable to service, until ${until}`);
  }
  const name = fields.topic;
  const known = tables.topics.find(name);
  if ((config.brokerPermission & Perm.WRITE) === 0 && known?.config.order) {
    refuse(ResponseCode.NO_PERMISSION, 'the broker sending message is forbidden');
  }
  const problem = topicProblem(name);
  if (problem) refuse(ResponseCode.INVALID_PARAMETER, problem);
  if (isSendForbidden(name)) {
    refuse(ResponseCode.NO_PERMISSION, `Sending message to topic[${name}] is forbidden.`);
  }
  const { defaultTopic, defaultTopicQueueNums: queueNums } = fields;
  const topic = known ?? context.creation.onSend({ topic: name, defaultTopic, queueNums });
  if (!topic) {
    return refuse(ResponseCode.TOPIC_NOT_EXIST, `topic[${name}] not exist, apply first please!`);
  }
  const queues = Math.max(topic.config.readQueueNums, topic.config.writeQueueNums);
  if (fields.queueId < queues) return topic;
  return refuse(
    ResponseCode.INVALID_PARAMETER,
    `request queueId[${fields.queueId}] is illegal, topic:[${name}] queues:[${queues}]`,
  );
}

/** @returns why the client that asked did not get it, or undefined */
async function push(context: HandlerContext, reply: Reply): Promise<string | undefined> {
  const { fields, connection, request } = reply;
  const properties = parseMessageProperties(fields.properties);
  const clientId = properties.get(Property.REPLY_TO_CLIENT);
  if (!clientId) return `reply message properties[${Property.REPLY_TO_CLIENT}] is null`;
  const channel = context.producers.channelOf(clientId);
  if (!channel) return `push reply message fail, channel of <${clientId}> not found.`;
  const nowMs = context.parts.clock.nowMs();
  properties.set(Property.PUSH_REPLY_TIME, String(nowMs));
  const born = decodeHost(connection.bornHost, 0, connection.bornHost.length > 8);
  const ext = {
    ...fields,
    properties: formatMessageProperties(properties),
    bornHost: `${born.host}:${born.port}`,
    storeHost: context.parts.advertised(),
    storeTimestamp: nowMs,
  };
  const body = request.body ?? NO_BODY;
  try {
    const init = { code: RequestCode.PUSH_REPLY_MESSAGE_TO_CLIENT, ext, body };
    const answer = await channel.connection.request(init, PUSH_MS);
    if (answer.code === ResponseCode.SUCCESS) return undefined;
  } catch (reason) {
    const error = DrError.from(reason).message;
    log.debug('reply.unpushed', 'the client that asked did not answer', { clientId, error });
  }
  return `push reply message to ${clientId}fail.`;
}

/** @returns where it lies, or undefined when the store refused it */
async function store(context: HandlerContext, reply: Reply): Promise<object | undefined> {
  const { fields, connection, request, topic } = reply;
  const { parts, writer } = context;
  try {
    const result = writer.append({
      topic: topic.handle,
      queueId: reply.queueId,
      body: request.body ? Buffer.from(request.body) : NO_BODY,
      properties: fields.properties,
      bornTimestampMs: fields.bornTimestamp,
      bornHost: connection.bornHost,
      flag: fields.flag,
      sysFlag: fields.sysFlag,
      reconsumeTimes: fields.reconsumeTimes,
    });
    const { physicalOffset, queueOffset } = result;
    await parts.store.durable(physicalOffset + result.sizeBytes);
    return { msgId: formatOffsetMsgId(context.storeHost, physicalOffset), queueOffset };
  } catch (reason) {
    const error = DrError.from(reason).message;
    log.warn('reply.unstored', 'a reply was pushed but not kept', { topic: fields.topic, error });
    return undefined;
  }
}
