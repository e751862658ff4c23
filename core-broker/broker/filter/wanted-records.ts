// Which records a pull wants: tag codes or a compiled expression, from the request when it carries the
// subscription, else from what the group's heartbeats said. Checks in Apache's order and with its codes;
// an expression in a request that does not compile is refused (Apache delivers everything then).
// Source: PullMessageProcessor, ExpressionForRetryMessageFilter, behaviour only.
import { DrError } from '../../base/index.ts';
import {
  findProperty,
  groupOfTopic,
  isRetryTopic,
  isTagExpression,
  Property,
  PullSysFlag,
  type RemotingCommand,
  ResponseCode,
  type SubscriptionData,
  type SubscriptionGroupConfig,
  tagSubscription,
} from '../../protocol/index.ts';
import type { RecordFilter } from '../../store/index.ts';
import type { ConsumerTable } from '../clients/index.ts';
import { numberField } from '../fields.ts';
import { refuse } from '../response-codes.ts';
import { type ConsumerFilters, SQL92 } from './consumer-filters.ts';
import type { FilterCache } from './filter-cache.ts';

export interface WantedRecords {
  /** undefined = all */
  tagCodes: ReadonlySet<number> | undefined;
  filter: RecordFilter | undefined;
}

export interface WantedContext {
  consumers: ConsumerTable;
  filters: ConsumerFilters;
  cache: FilterCache;
  isForbidden: (group: string, topic: string) => boolean;
  config: { enablePropertyFilter: boolean; filterSupportRetry: boolean };
}

/** @throws DrError with response code 1, 16, 23, 24, 25, 27 or 28 */
export function wantedRecords(
  context: WantedContext,
  request: RemotingCommand,
  { group, topic }: { group: SubscriptionGroupConfig; topic: string },
): WantedRecords {
  const isInRequest = (numberField(request, 'sysFlag') & PullSysFlag.SUBSCRIPTION) !== 0;
  if (isInRequest) return fromRequest(context, request, topic);
  const subVersion = numberField(request, 'subVersion', 0);
  const subscription = subscriptionOf(context, group, topic);
  if (subscription.subVersion < subVersion) {
    refuse(ResponseCode.SUBSCRIPTION_NOT_LATEST, "the consumer's subscription not latest");
  }
  if (isTagExpression(subscription.expressionType)) return byTags(subscription);
  const found = context.filters.find(topic, group.groupName);
  if (found === undefined) {
    return refuse(
      ResponseCode.FILTER_DATA_NOT_EXIST,
      "The broker's consumer filter data is not exist!Your expression may be wrong!",
    );
  }
  if (found.clientVersion < subVersion) {
    refuse(ResponseCode.FILTER_DATA_NOT_LATEST, "the consumer's consumer filter data not latest");
  }
  requirePropertyFilter(context.config, subscription.expressionType);
  return { tagCodes: undefined, filter: forTopic(context, topic, found.filter) };
}

/** @throws DrError with response code 1 */
export function requirePropertyFilter(
  config: { enablePropertyFilter: boolean },
  expressionType: string | undefined,
): void {
  if (config.enablePropertyFilter) return;
  refuse(
    ResponseCode.SYSTEM_ERROR,
    `The broker does not support consumer to filter message by ${expressionType}`,
  );
}

function fromRequest(
  context: WantedContext,
  request: RemotingCommand,
  topic: string,
): WantedRecords {
  const { expressionType, subscription = '' } = request.ext;
  if (isTagExpression(expressionType)) return byTags(tagSubscription(topic, subscription, 0));
  requirePropertyFilter(context.config, expressionType);
  try {
    if (expressionType !== SQL92) throw new DrError('USAGE', `unknown type ${expressionType}`);
    if (subscription === '') throw new DrError('USAGE', 'the expression is empty');
    const filter = forTopic(context, topic, context.cache.compile(subscription));
    return { tagCodes: undefined, filter };
  } catch (reason) {
    const why = DrError.from(reason).message;
    return refuse(
      ResponseCode.SUBSCRIPTION_PARSE_FAILED,
      `parse the consumer's subscription failed: ${why}`,
    );
  }
}

function subscriptionOf(
  { consumers, isForbidden }: WantedContext,
  group: SubscriptionGroupConfig,
  topic: string,
): SubscriptionData {
  const name = group.groupName;
  const members = consumers.find(name);
  if (!members) {
    return refuse(
      ResponseCode.SUBSCRIPTION_NOT_EXIST,
      `the consumer's group info not exist, group: ${name}`,
    );
  }
  if (!group.consumeBroadcastEnable && members.messageModel === 'BROADCASTING') {
    refuse(
      ResponseCode.NO_PERMISSION,
      `the consumer group[${name}] can not consume by broadcast way`,
    );
  }
  if (isForbidden(name, topic)) {
    refuse(
      ResponseCode.NO_PERMISSION,
      `the consumer group[${name}] is forbidden for topic[${topic}]`,
    );
  }
  const subscription = members.subscriptions.get(topic);
  if (subscription) return subscription;
  return refuse(
    ResponseCode.SUBSCRIPTION_NOT_EXIST,
    `the consumer's subscription not exist, group: ${name}, topic: ${topic}`,
  );
}

const byTags = ({ codeSet }: SubscriptionData): WantedRecords => ({
  tagCodes: codeSet.length === 0 ? undefined : new Set(codeSet),
  filter: undefined,
});

/** On a retry topic the expression of the message's first topic decides, where that is switched on. */
function forTopic(context: WantedContext, topic: string, filter: RecordFilter): RecordFilter {
  if (!context.config.filterSupportRetry || !isRetryTopic(topic)) return filter;
  const group = groupOfTopic(topic);
  return {
    work: filter.work,
    matchesBytes: (bytes, start, length) => {
      const area = { start, end: start + length };
      const first = findProperty(bytes, area, Property.RETRY_TOPIC) ?? '';
      const found = context.filters.find(first, group);
      return found === undefined || found.filter.matchesBytes(bytes, start, length);
    },
  };
}
