// Questions of tools that only a client can answer (307, 309, 223): passed to it over its own
// connection and the answer passed back. Source: AdminBrokerProcessor.callConsumer, behaviour only.
import { createLog, DrError } from '../../base/index.ts';
import {
  MqVersion,
  parseJsonObject,
  parseOffsetMsgId,
  type RemotingCommand,
  RequestCode,
  type RequestInit,
  ResponseCode,
  type ResponseInit,
} from '../../protocol/index.ts';
import type { ClientChannel } from '../clients/index.ts';
import { textField } from '../fields.ts';
import type { HandlerContext } from '../handler-context.ts';
import { okJson, refuse } from '../response-codes.ts';

const log = createLog('broker');
const CALL_MS = 10_000;
const STATUS_CALL_MS = 5_000;

export function addClientRelays(context: HandlerContext): void {
  const { requests, store } = context.parts;
  requests.on(RequestCode.GET_CONSUMER_RUNNING_INFO, (request) =>
    relay(context, request, { code: request.code, ext: request.ext }),
  );
  requests.on(RequestCode.CONSUME_MESSAGE_DIRECTLY, (request) => {
    const id = parseOffsetMsgId(textField(request, 'msgId'));
    const ext = { ...request.ext, ...directFields(context, request) };
    const body = store.readRecord(id.physicalOffset);
    return relay(context, request, { code: request.code, ext, body });
  });
  requests.on(RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, (request) =>
    consumerStatus(context, request),
  );
}

/** What a client needs to know about a message it is handed directly. */
function directFields({ parts }: HandlerContext, request: RemotingCommand) {
  const { topics, groups } = parts.tables;
  const topic = topics.find(request.ext['topic'] ?? '')?.config;
  const group = groups.find(request.ext['consumerGroup'] ?? '');
  return {
    brokerName: parts.config.brokerName,
    ...(topic ? { topicSysFlag: String(topic.topicSysFlag) } : {}),
    ...(group ? { groupSysFlag: String(group.groupSysFlag) } : {}),
  };
}

async function relay(
  context: HandlerContext,
  request: RemotingCommand,
  init: RequestInit,
): Promise<ResponseInit> {
  const group = textField(request, 'consumerGroup');
  const clientId = textField(request, 'clientId');
  const channel = context.consumers.channelOf(group, clientId);
  if (!channel) {
    return refuse(ResponseCode.SYSTEM_ERROR, `The Consumer <${group}> <${clientId}> not online`);
  }
  if (channel.version < MqVersion.V3_1_8_SNAPSHOT) {
    refuse(
      ResponseCode.SYSTEM_ERROR,
      `The Consumer <${clientId}> Version <${channel.version}> too low to finish, ` +
        'please upgrade it to V3_1_8_SNAPSHOT',
    );
  }
  return asResponse(await call(channel, group, init));
}

async function call(
  channel: ClientChannel,
  group: string,
  init: RequestInit,
): Promise<RemotingCommand> {
  try {
    return await channel.connection.request(init, CALL_MS);
  } catch (reason) {
    const isLate = DrError.is(reason, 'TIMEOUT');
    const who = `<${group}> <${channel.clientId}>`;
    const why = DrError.from(reason).message;
    if (isLate) {
      return refuse(ResponseCode.CONSUME_MSG_TIMEOUT, `consumer ${who} Timeout: ${why}`);
    }
    return refuse(ResponseCode.SYSTEM_ERROR, `invoke consumer ${who} Exception: ${why}`);
  }
}

function asResponse(answer: RemotingCommand): ResponseInit {
  return {
    code: answer.code,
    ext: answer.ext,
    ...(answer.remark === undefined ? {} : { remark: answer.remark }),
    ...(answer.body === undefined ? {} : { body: answer.body }),
  };
}

/** Asks every member of the group for its queue positions. */
async function consumerStatus(
  context: HandlerContext,
  request: RemotingCommand,
): Promise<ResponseInit> {
  const topic = textField(request, 'topic');
  const group = textField(request, 'group');
  const { clientAddr } = request.ext;
  const members = [...(context.consumers.find(group)?.channels.values() ?? [])];
  const wanted = members.filter((member) => !clientAddr || member.clientId === clientAddr);
  if (wanted.length === 0) {
    return refuse(
      ResponseCode.SYSTEM_ERROR,
      `No Any Consumer online in the consumer group: [${group}]`,
    );
  }
  const init = { code: RequestCode.GET_CONSUMER_STATUS_FROM_CLIENT, ext: { topic, group } };
  const consumerTable: Record<string, unknown> = {};
  for (const member of wanted) {
    const answer = await askStatus(member, init);
    if (answer?.code !== ResponseCode.SUCCESS || answer.body === undefined) continue;
    consumerTable[member.clientId] = parseJsonObject(answer.body)['messageQueueTable'] ?? {};
  }
  return okJson({ consumerTable });
}

/** One silent member must not hide the others. */
async function askStatus(
  member: ClientChannel,
  init: RequestInit,
): Promise<RemotingCommand | undefined> {
  try {
    return await member.connection.request(init, STATUS_CALL_MS);
  } catch (reason) {
    const { code } = DrError.from(reason);
    log.warn('relay.silent', 'a consumer did not tell its status', {
      clientId: member.clientId,
      code,
    });
    return undefined;
  }
}
