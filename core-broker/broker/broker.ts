// A broker process part: opens the store, builds the parts, attaches the DR side, listens.
// Order of start: listen (the port may be the system's choice and is part of every record) -> open the
// store -> tables and handlers -> DR side -> let clients in -> register. Clients that connect earlier
// wait; nobody is served before the DR side decided whether this store may write.
// Order of stop: goodbye to name servers -> clients are asked to leave -> held pulls answered -> everything appended is durable and
// answered -> connections closed -> tables written -> store closed.
import { atMost, type Clock, createLog, DrError, systemClock } from '../base/index.ts';
import { type DrStatus, encodeHost } from '../protocol/index.ts';
import { RemotingServer, ServerTls } from '../remoting/index.ts';
import { type MessageStore, openStore } from '../store/index.ts';
import { type AclBook, AclGuard, addAclHandlers, openAclBook } from './acl/index.ts';
import { diskRatio } from './admin/index.ts';
import { type AdmissionSlot, OPEN_ADMISSION } from './admission.ts';
import { type BuiltBroker, buildParts } from './build-parts.ts';
import { type BrokerConfig, brokerTls } from './config/index.ts';
import { BrokerDispatcher } from './dispatcher.ts';
import type {
  Broker,
  DrBrokerOptions,
  LinkControl,
  StandbyMetadataSink,
  StandbySink,
} from './door.ts';
import { attachDr } from './dr/index.ts';
import { BusyGate, FarewellGate, SlowWrites } from './gates/index.ts';
import { exposeBroker, exposeLabelled } from './metrics/index.ts';
import type { DrAttachment } from './parts.ts';
import { storeOptions } from './store-options.ts';

const log = createLog('broker');

/**
 * How client bytes are received. `reused` (one buffer under all sockets) is up to 3 times faster on bulk
 * but stands on an undocumented handle of Node, and one bench run saw a null server in that mode sit
 * idle for 1.6 s without an explanation. Until there is one, the documented way is the default.
 */
const RECEIVE_MODE = 'events';

/** How long start() waits for the first registration; it goes on in the background. */
const FIRST_REGISTRATION_MS = 3_000;
/** Groups that are too far behind are looked for this often, as by Apache. */
const PROTECT_MS = 180_000;
/** consumerFilter.json is written this often, as by Apache. */
const SAVE_FILTERS_MS = 10_000;
/** Groups and retry topics that came with their clients. */
const SAVE_TABLES_MS = 500;
const TABLE_FILES = { groups: 'subscriptionGroup.json', topics: 'topics.json' };
/** How long stop() waits for a disk that does not answer. */
const LAST_FLUSH_MS = 10_000;

export interface BrokerOptions {
  config: BrokerConfig;
  /** Without it the broker is plain: no epochs. */
  dr?: DrBrokerOptions;
  /** Told when a part died; the process must end. */
  onFailure?: (reason: DrError) => void;
  clock?: Clock;
  /** How the store is opened; tests put a broken disk under it. */
  openStore?: typeof openStore;
}

/** Creates a broker; nothing is opened before start(). */
export function createBroker(options: BrokerOptions): Broker {
  return new BrokerNode(options);
}

interface Running {
  store: MessageStore;
  built: BuiltBroker;
  dr: DrAttachment;
}

class BrokerNode implements Broker {
  readonly #options: BrokerOptions;
  readonly #admission: AdmissionSlot = { current: OPEN_ADMISSION };
  readonly #dispatcher: BrokerDispatcher;
  readonly #server: RemotingServer;
  readonly #timers: NodeJS.Timeout[] = [];
  /** Files that could not be written when it was tried last, and why. */
  readonly #unsaved = new Map<string, string>();
  #port = 0;
  #running: Running | undefined;
  #acl: AclBook | undefined;
  #link: LinkControl | undefined;
  #slowWrites: SlowWrites | undefined;
  #stopping: Promise<void> | undefined;
  #hideMetrics: (() => void) | undefined;

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.#dispatcher = new BrokerDispatcher(this.#admission);
    this.#server = new RemotingServer({
      host: options.config.bindAddress,
      port: options.config.listenPort,
      listener: this.#dispatcher,
      receive: RECEIVE_MODE,
      idleMs: options.config.serverChannelMaxIdleTimeSeconds * 1_000,
      tls: new ServerTls(brokerTls(options.config).server),
    });
  }

  get store(): MessageStore {
    return this.#started.store;
  }

  get storeRoot(): string {
    return this.#options.config.storePathRootDir;
  }

  get sink(): StandbySink | undefined {
    return this.#started.dr.sink;
  }

  get metadataSink(): StandbyMetadataSink | undefined {
    return this.#started.dr.metadataSink;
  }

  get address(): string {
    return `${this.#options.config.brokerIP1}:${this.#port}`;
  }

  get haAddress(): string {
    return this.#started.dr.haAddress;
  }

  status(): DrStatus | undefined {
    return this.#running?.dr.status();
  }

  health(): { reasons: string[] } {
    const running = this.#running;
    if (running === undefined) return { reasons: ['the broker is not running'] };
    if (this.#stopping !== undefined) return { reasons: ['the broker is stopping'] };
    const { store, dr, built } = running;
    const unsaved = [...this.#unsaved].map(([what, why]) => `${what} cannot be written: ${why}`);
    const timers = built.timers.problems();
    return { reasons: [...store.problems(), ...unsaved, ...timers, ...dr.drHealth().reasons] };
  }

  useLink(link: LinkControl): void {
    this.#link = link;
    this.#running?.dr.useLink(link);
  }

  async start(): Promise<void> {
    const { config } = this.#options;
    try {
      await this.#guardDoor();
      const port = await this.#server.listen();
      this.#port = port;
      this.#dispatcher.useVipPort(await this.#server.listenAlso(config.listenPort && port - 2));
      const storeHost = encodeHost(config.brokerIP1, port);
      const open = this.#options.openStore ?? openStore;
      const store = await open(storeOptions(this.#options, storeHost));
      await this.#serve(store, storeHost);
    } catch (reason) {
      await this.#abandon();
      throw DrError.from(reason);
    }
    log.info('broker.started', 'broker serves clients', { address: this.address });
  }

  /** Order: before anything listens, so that no frame comes in unseen. */
  async #guardDoor(): Promise<void> {
    const { config, clock = systemClock } = this.#options;
    const book = openAclBook(config, clock);
    this.#acl = book;
    addAclHandlers({
      book,
      requests: this.#dispatcher,
      broker: () => ({
        address: this.address,
        name: config.brokerName,
        cluster: config.brokerClusterName,
      }),
      nowMs: () => clock.nowMs(),
    });
    if (book === undefined) return;
    this.#dispatcher.addGate(new AclGuard(() => book.table));
    await book.start();
  }

  async #serve(store: MessageStore, storeHost: Buffer): Promise<void> {
    const { config, clock = systemClock, dr: drOptions } = this.#options;
    const built = buildParts({
      config,
      clock,
      store,
      storeHost,
      admission: this.#admission,
      dispatcher: this.#dispatcher,
      addresses: () => ({ broker: this.address, ha: this.haAddress }),
      accounts: () => this.#acl?.table.digest,
      fail: (reason) => this.#fail(reason),
    });
    const dr = attachDr(built.parts, drOptions);
    if (this.#link) dr.useLink(this.#link);
    this.#running = { store, built, dr };
    built.release.start(store.storeBounds().maxOffset);
    built.pulls.held.start();
    built.expiry.start();
    built.context.stats.start();
    this.#watchWrites(store, clock);
    await dr.start();
    this.#startSaving(built);
    this.#expose(built);
    this.#dispatcher.open();
    // Why a race: a name server that is away must not keep the broker from serving.
    await atMost(built.registration.start(), FIRST_REGISTRATION_MS);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const running = this.#running;
    if (running !== undefined) await this.#sayFarewell(running.built);
    for (const timer of this.#timers) clearInterval(timer);
    await this.#acl?.stop();
    if (running === undefined) return this.#server.close();
    const { store, built, dr } = running;
    this.#hideMetrics?.();
    built.schedule.stop();
    await built.timers.stopped();
    await dr.stop();
    this.#slowWrites?.stop();
    built.pulls.held.stop();
    await this.#lastFlush(store);
    built.release.stop();
    built.expiry.stop();
    built.context.stats.stop();
    await this.#server.close();
    await built.parts.tables.settled();
    built.parts.tables.save();
    built.context.filters.save();
    await store.close();
    log.info('broker.stopped', 'broker stopped', { address: this.address });
  }

  /** Name servers first, so that clients find their way to the others. */
  async #sayFarewell({ registration, pulls }: BuiltBroker): Promise<void> {
    await registration.stop();
    const { enableShutdownGracefully, shutdownWaitTimeSeconds } = this.#options.config;
    if (!enableShutdownGracefully) return;
    const gate = new FarewellGate();
    this.#dispatcher.addGate(gate);
    log.info('broker.farewell', 'clients are asked to leave', { shutdownWaitTimeSeconds });
    pulls.held.answerAll();
    await gate.wait(() => this.#dispatcher.connections(), shutdownWaitTimeSeconds);
  }

  /** Sends are refused while the disk does not take what was appended. */
  #watchWrites(store: MessageStore, clock: Clock): void {
    const { config } = this.#options;
    if (config.flushDiskType !== 'ASYNC_FLUSH') return;
    const gate = new BusyGate(this.#admission);
    this.#slowWrites = new SlowWrites({
      ends: () => store.storeBounds(),
      limitMs: () => config.osPageCacheBusyTimeOutMills,
      nowMs: () => clock.monotonicMs(),
      onChange: (isBusy) =>
        isBusy ? this.#dispatcher.addGate(gate) : this.#dispatcher.removeGate(gate),
    });
    this.#slowWrites.start();
  }

  /** So that everything appended is answered before the connections go. */
  async #lastFlush(store: MessageStore): Promise<void> {
    try {
      await atMost(store.flush(), LAST_FLUSH_MS);
    } catch (reason) {
      // Unanswered sends stay unanswered: the clients take them as unknown and send again.
      const error = DrError.from(reason).message;
      log.warn('broker.unflushed', 'the last messages could not be made durable', { error });
    }
  }

  /** A start that failed leaves nothing open. */
  async #abandon(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#acl?.stop();
    await this.#server.close();
    const running = this.#running;
    if (running === undefined) return;
    this.#slowWrites?.stop();
    running.built.pulls.held.stop();
    running.built.release.stop();
    running.built.expiry.stop();
    running.built.context.stats.stop();
    await running.built.registration.stop();
    await running.dr.stop();
    await running.built.parts.tables.settled();
    await running.store.close();
  }

  #startSaving({ parts, context, pulls }: BuiltBroker): void {
    const { config, tables } = parts;
    const save = (what: string, write: () => void | Promise<void>) => async () => {
      try {
        await write();
        this.#unsaved.delete(what);
      } catch (reason) {
        // Kept in memory and tried again; a full disk must not stop reads.
        const error = DrError.from(reason).message;
        this.#unsaved.set(what, error);
        log.warn('metadata.unsaved', `${what} could not be written; trying again`, { error });
      }
    };
    this.#timers.push(
      setInterval(
        save('consumerOffset.json', () => tables.offsets.aside()),
        config.flushConsumerOffsetInterval,
      ),
      setInterval(
        save('delayOffset.json', () => tables.delays.file.aside()),
        config.flushDelayOffsetInterval,
      ),
      setInterval(
        save('consumerFilter.json', () => context.filters.save()),
        SAVE_FILTERS_MS,
      ),
      setInterval(
        save('subscriptionGroup.json', () => pulls.readers.protect()),
        PROTECT_MS,
      ),
      ...(['groups', 'topics'] as const).map((table) =>
        setInterval(
          save(TABLE_FILES[table], () => tables[table].file.aside()),
          SAVE_TABLES_MS,
        ),
      ),
    );
  }

  #expose({ context, pulls }: BuiltBroker): void {
    const bounds = () => this.store.storeBounds();
    const { storePathCommitLog } = this.#options.config;
    const hideLabelled = exposeLabelled(context);
    const hideTotals = exposeBroker({
      stats: context.stats,
      openTransactions: () => context.transactions.backlog(),
      heldPulls: () => pulls.held.held,
      connections: () => this.#server.connections.size,
      logStart: () => bounds().minOffset,
      logEnd: () => bounds().maxOffset,
      diskUsed: () => diskRatio(storePathCommitLog),
      dispatchBehindBytes: () => bounds().maxOffset - bounds().dispatchedOffset,
      unflushedBytes: () => bounds().maxOffset - bounds().flushedOffset,
      timers: () => context.timers.figures(),
    });
    this.#hideMetrics = () => {
      hideTotals();
      hideLabelled();
    };
  }

  get #started(): Running {
    if (this.#running) return this.#running;
    throw new DrError('UNEXPECTED', 'the broker is not started');
  }

  #fail(reason: DrError): void {
    log.error('broker.failed', 'a part of the broker died', {
      code: reason.code,
      error: reason.message,
    });
    this.#options.onFailure?.(reason);
  }
}
