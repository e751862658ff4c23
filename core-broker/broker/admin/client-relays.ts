// Questions of tools that only a client can answer (307, 309, 223): passed to it over its own
// connection and the answer passed back. Source: AdminBrokerProcessor.callConsumer, behaviour only.
import { DrError } from '../../base/index.ts';
import {
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

const CALL_MS = 10_000;
const STATUS_CALL_MS = 5_000;

export function addClientRelays(context: HandlerContext): void {
  const { requests, store } = context.parts;
  requests.on(RequestCode.GET_CONSUMER_RUNNING_INFO, (request) =>
    relay(context, request, { code: request.code, ext: request.ext }),
  );
  requests.on(RequestCode.CONSUME_MESSAGE_DIRECTLY, (request) => {
    const id = parseOffsetMsgId(textField(request, 'msgId'));
    const ext = { ...request.ext, brokerName: context.parts.config.brokerName };
    const body = store.readRecord(id.physicalOffset);
    return relay(context, request, { code: request.code, ext, body });
  });
  requests.on(RequestCode.INVOKE_BROKER_TO_GET_CONSUMER_STATUS, (request) =>
    consumerStatus(context, request),
  );
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
  return asResponse(await call(channel, init));
}

async function call(channel: ClientChannel, init: RequestInit): Promise<RemotingCommand> {
  try {
    return await channel.connection.request(init, CALL_MS);
  } catch (reason) {
    const isLate = DrError.is(reason, 'TIMEOUT');
    const remark = `consumer <${channel.clientId}> did not answer: ${DrError.from(reason).message}`;
    return refuse(isLate ? ResponseCode.CONSUME_MSG_TIMEOUT : ResponseCode.SYSTEM_ERROR, remark);
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
    const answer = await member.connection.request(init, STATUS_CALL_MS);
    if (answer.code !== ResponseCode.SUCCESS) continue;
    consumerTable[member.clientId] = parseJsonObject(answer.body)['messageQueueTable'] ?? {};
  }
  return okJson({ consumerTable });
}
