// Subscription groups: create, delete, list. Source: AdminBrokerProcessor, behaviour only.
import {
  groupProblem,
  parseJson,
  parseJsonObject,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
  readSubscriptionGroup,
  type SubscriptionGroupConfig,
} from '../../protocol/index.ts';
import { textField } from '../fields.ts';
import { type HandlerContext, requireOwnMetadata } from '../handler-context.ts';
import { OK, okJson, refuse } from '../response-codes.ts';

export function addGroupHandlers(context: HandlerContext): void {
  const { requests, tables } = context.parts;
  requests.on(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, (request) =>
    put(context, [readSubscriptionGroup(parseJson(request.body?.toString() ?? ''))]),
  );
  requests.on(RequestCode.UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, (request) => {
    const list = parseJsonObject(request.body)['groupConfigList'];
    const groups = Array.isArray(list) ? list : [];
    return put(
      context,
      groups.map((group) => readSubscriptionGroup(group)),
    );
  });
  requests.on(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, () => okJson(tables.groups.content()));
  requests.on(RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, (request) => {
    const name = textField(request, 'group');
    return okJson(existingGroup(context, name));
  });
  requests.on(RequestCode.DELETE_SUBSCRIPTIONGROUP, (request) => remove(context, request));
}

/** The group, or code 26. */
export function existingGroup(context: HandlerContext, name: string): SubscriptionGroupConfig {
  const group = context.parts.tables.groups.find(name);
  if (group) return group;
  return refuse(
    ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST,
    `subscription group [${name}] does not exist`,
  );
}

function put(context: HandlerContext, groups: SubscriptionGroupConfig[]): ResponseInit {
  requireOwnMetadata(context);
  for (const group of groups) {
    const problem = groupProblem(group.groupName);
    if (problem) refuse(ResponseCode.INVALID_PARAMETER, problem);
  }
  context.parts.tables.groups.put(...groups);
  return OK;
}

/** 5.x calls the field cleanOffset, 4.9 removeOffset. */
function remove(context: HandlerContext, request: RemotingCommand): ResponseInit {
  requireOwnMetadata(context);
  const name = textField(request, 'groupName');
  const { groups, offsets } = context.parts.tables;
  groups.remove(name);
  const { cleanOffset, removeOffset } = request.ext;
  if (cleanOffset === 'true' || removeOffset === 'true') offsets.removeGroup(name);
  return OK;
}
