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
  ResponseCode,
  type SubscriptionData,
  type SubscriptionGroupConfig,
  tagSubscription,
} from '../../protocol/index.ts';
import type { RecordFilter } from '../../store/index.ts';
import type { ConsumerTable } from '../clients/index.ts';
import { refuse } from '../response-codes.ts';
import { type ConsumerFilters, SQL92 } from './consumer-filters.ts';
import type { FilterCache } from './filter-cache.ts';

/** Tag expressions of requests that are remembered. */
const TEXTS_MAX = 1_024;
const TEXT_CHARACTERS_MAX = 1_024;

export interface WantedRecords {
  /** undefined = all */
  tagCodes: ReadonlySet<number> | undefined;
  filter: RecordFilter | undefined;
}

/** What a pull says about what it wants. */
export interface Wish {
  topic: string;
  sysFlag: number;
  subVersion: number;
  subscription: string | undefined;
  expressionType: string | undefined;
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
  wish: Wish,
  group: SubscriptionGroupConfig,
): WantedRecords {
  if ((wish.sysFlag & PullSysFlag.SUBSCRIPTION) !== 0) return fromRequest(context, wish);
  const { topic, subVersion } = wish;
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

function fromRequest(context: WantedContext, wish: Wish): WantedRecords {
  const { topic, expressionType, subscription = '' } = wish;
  if (isTagExpression(expressionType)) return byText(subscription);
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

const ALL: WantedRecords = { tagCodes: undefined, filter: undefined };

/** Code sets of subscriptions: one is asked for at every pull of its consumers. */
const known = new WeakMap<SubscriptionData, WantedRecords>();
const knownTexts = new Map<string, SubscriptionData>();

function byTags(subscription: SubscriptionData): WantedRecords {
  const { codeSet } = subscription;
  if (codeSet.length === 0) return ALL;
  const present = known.get(subscription);
  if (present !== undefined) return present;
  const made = { tagCodes: new Set(codeSet), filter: undefined };
  known.set(subscription, made);
  return made;
}

/** An expression that comes with the pull; what tags mean depends on nothing else. */
function byText(expression: string): WantedRecords {
  let subscription = knownTexts.get(expression);
  if (subscription === undefined) {
    subscription = tagSubscription('', expression, 0);
    if (knownTexts.size >= TEXTS_MAX) knownTexts.clear();
    if (expression.length <= TEXT_CHARACTERS_MAX) knownTexts.set(expression, subscription);
  }
  return byTags(subscription);
}

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
