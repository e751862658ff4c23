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
import { asObject } from '../metadata/index.ts';
import { OK, okJson, refuse } from '../response-codes.ts';
import { pageOf } from './metadata-page.ts';

export function addGroupHandlers(context: HandlerContext): void {
  const { requests } = context.parts;
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
  requests.on(RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, (request) =>
    allGroups(context, request),
  );
  requests.on(RequestCode.UPDATE_AND_GET_GROUP_FORBIDDEN, (request) => forbidden(context, request));
  requests.on(RequestCode.GET_SUBSCRIPTIONGROUP_CONFIG, (request) => {
    const name = textField(request, 'group');
    return okJson(existingGroup(context, name));
  });
  requests.on(RequestCode.DELETE_SUBSCRIPTIONGROUP, (request) => remove(context, request));
}

/** All groups, or a page of them for those who ask for pages (5.4 and later). */
function allGroups(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const content = context.parts.tables.groups.content();
  const { dataVersion } = content;
  const table = asObject(content['subscriptionGroupTable']);
  const page = { table, dataVersion, from: 'groupSeq', max: 'maxGroupNum' };
  const body = { ...content, subscriptionGroupTable: pageOf(context, request, page) };
  return { ...okJson(body), ext: { totalGroupNum: Object.keys(table).length } };
}

/** Whether a group may read one topic; told and, when `readable` is given, changed. */
function forbidden(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const group = textField(request, 'group');
  const topic = textField(request, 'topic');
  const { groups } = context.parts.tables;
  const { readable } = request.ext;
  if (readable !== undefined && readable !== '') {
    requireOwnMetadata(context);
    groups.forbid(group, topic, readable !== 'true');
  }
  return okJson({ group, readable: !groups.isForbidden(group, topic), topic });
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
  if (cleanOffset === 'true' || removeOffset === 'true') {
    offsets.removeGroup(name);
    offsets.save();
  }
  if (context.parts.config.autoDeleteUnusedStats) context.stats.forgetGroup(name);
  return OK;
}
