// Builds everything of a broker over an open store: tables, registry of clients, send and pull paths,
// handlers, registration. Pure wiring; the order only follows who needs whom.
import * as path from 'node:path';
import { type Clock, createLog, type DrError } from '../base/index.ts';
import { Perm, RequestCode } from '../protocol/index.ts';
import type { MessageStore } from '../store/index.ts';
import { addAdminHandlers } from './admin/index.ts';
import type { AdmissionSlot } from './admission.ts';
import { ClientExpiry, ConsumerTable, ProducerTable, QueueLocks } from './clients/index.ts';
import type { BrokerConfig } from './config/index.ts';
import type { BrokerDispatcher } from './dispatcher.ts';
import { ConsumerFilters, FilterCache } from './filter/index.ts';
import type { HandlerContext } from './handler-context.ts';
import { addHandlers } from './handlers/index.ts';
import { Creation, type MetadataTables, openMetadata } from './metadata/index.ts';
import type { BrokerParts, ScheduleService } from './parts.ts';
import { PullHandler } from './pull/index.ts';
import { RegistrationService } from './registration/index.ts';
import { ReplyRelease, ReplyTemplate } from './replies/index.ts';
import { refusalOf } from './response-codes.ts';
import { DelayDelivery, joinServices, parseDelayLevels } from './schedule/index.ts';
import { SendPath, StoredProperties } from './send/index.ts';
import { BrokerStats } from './stats/index.ts';
import { TimerService } from './timer/index.ts';
import { Transactions } from './transactions/index.ts';
import { MessageWriter } from './writing/index.ts';

const log = createLog('broker');

export interface BuildOptions {
  config: BrokerConfig;
  clock: Clock;
  store: MessageStore;
  admission: AdmissionSlot;
  dispatcher: BrokerDispatcher;
  /** Advertised host and port in record form. */
  storeHost: Buffer;
  addresses: () => { broker: string; ha: string };
  /** Digest of the ACL accounts in force; undefined without ACL. */
  accounts: () => string | undefined;
  fail: (reason: DrError) => void;
}

/** The parts with the services that start and stop with the broker. */
export interface BuiltBroker {
  parts: BrokerParts;
  context: HandlerContext;
  pulls: PullHandler;
  registration: RegistrationService;
  /** What only the active side does: delayed and timed delivery, transaction checks. */
  schedule: ScheduleService;
  timers: TimerService;
  release: ReplyRelease;
  expiry: ClientExpiry;
}

export function buildParts(options: BuildOptions): BuiltBroker {
  const { config, clock, store, admission, dispatcher } = options;
  const tables = openMetadata({ config, store, clock });
  const stats = new BrokerStats(tables.topics, clock, config.brokerClusterName);
  const creation = new Creation(config, tables, admission);
  const { filterCache, filters, consumers } = buildConsumers(options, tables);
  const levelsMs = parseDelayLevels(config.messageDelayLevel);
  const writer = new MessageWriter(store, (topic, bytes) => stats.countPut(topic, bytes));
  const producers = new ProducerTable();
  const transactions = new Transactions({
    ...{ config, clock, store, tables, creation, writer, producers, stats },
    storeHost: options.storeHost,
  });
  const timers = new TimerService({ config, store, writer, clock, fail: options.fail });
  const schedule = joinServices(
    new DelayDelivery({ store, delays: tables.delays, writer, clock, levelsMs }),
    transactions,
    timers,
  );
  const registration = new RegistrationService({
    config,
    tables,
    clock,
    addresses: options.addresses,
  });
  const shared = { config, clock, store, admission, tables, requests: dispatcher };
  const core = {
    ...shared,
    timers,
    frames: dispatcher,
    advertised: () => options.addresses().broker,
    haAddress: () => options.addresses().ha,
    accounts: options.accounts,
    fail: options.fail,
  };
  const pulls = new PullHandler({ parts: core, consumers, filters, filterCache, creation, stats });
  const parts: BrokerParts = { ...core, pulls: pulls.held, schedule, registration };
  const locks = new QueueLocks(clock);
  const clients = { consumers, producers, locks, filters, filterCache };
  const context: HandlerContext = {
    ...{ parts, ...clients, creation, writer, stats, levelsMs },
    ...{ transactions, timers, storeHost: options.storeHost },
    configListeners: [],
  };
  context.configListeners.push((keys) => {
    if (keys.has('brokerPermission')) tables.topics.bump();
    if (keys.has('autoCreateTopicEnable')) creation.allowInheritance();
    if (keys.has('transactionCheckInterval')) transactions.rearm();
  });
  const release = addPaths(context, pulls, options);
  const expiry = new ClientExpiry({ consumers, producers, locks, clock });
  dispatcher.onForget((connection) => expiry.forget(connection));
  if ((config.brokerPermission & Perm.WRITE) === 0) {
    log.info('broker.read-only', 'brokerPermission keeps producers away', {
      brokerPermission: config.brokerPermission,
    });
  }
  return { parts, context, pulls, registration, schedule, timers, release, expiry };
}

/** Who consumes, and what they subscribe to by expression. */
function buildConsumers({ config, clock }: BuildOptions, tables: MetadataTables) {
  const filterCache = new FilterCache();
  const filters = new ConsumerFilters({
    file: path.join(config.storePathRootDir, 'config', 'consumerFilter.json'),
    clock,
    cache: filterCache,
    config,
  });
  const consumers = new ConsumerTable(
    (group) => {
      const wanted = tables.groups.find(group.name)?.notifyConsumerIdsChangedEnable ?? true;
      if (!config.notifyConsumerIdsChangedEnable || !wanted) return;
      const ext = { consumerGroup: group.name };
      for (const { connection } of group.channels.values()) {
        connection.notify({ code: RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, ext });
      }
    },
    (group) => filters.unregister(group),
  );
  return { filterCache, filters, consumers };
}

/** Sends, pulls and handlers into the dispatcher. */
function addPaths(
  context: HandlerContext,
  pulls: PullHandler,
  { config, clock, store, admission, dispatcher, storeHost }: BuildOptions,
): ReplyRelease {
  const facts = () => ({
    regionId: config.regionId,
    isTraceOn: config.traceOn,
    clusterName: config.brokerClusterName,
    storeHost,
  });
  const release = new ReplyRelease({
    clock,
    // A getter: an operator may change it.
    get timeoutMs() {
      return config.syncFlushTimeout;
    },
    durable: (end) => store.durable(end),
    onLatency: (tookMs) => context.stats.putTimes.observe(tookMs),
    failure: (reason) => refusalOf(reason, admission.current),
  });
  store.onDurable((end) => release.onDurable(end));
  dispatcher.usePulls(pulls);
  const sends = new SendPath({
    context,
    template: new ReplyTemplate(facts()),
    release,
    properties: new StoredProperties(facts()),
  });
  dispatcher.useSends(sends);
  context.configListeners.push((keys) => {
    if (keys.has('traceOn') || keys.has('regionId')) sends.restate(facts());
  });
  const pull = pulls.handle.bind(pulls);
  dispatcher.on(RequestCode.PULL_MESSAGE, pull);
  dispatcher.on(RequestCode.LITE_PULL_MESSAGE, pull);
  addHandlers(context);
  addAdminHandlers(context);
  return release;
}
