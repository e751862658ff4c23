// The DR side of one broker, put together: guard consequences, fence, role changes, relay, watch, link.
// Order of life: constructed before the broker listens (so no frame is ever seen without it), started
// after it listens: HA port, relay of an earlier run, registration, then the boot check in the background.
// Source: switchover.
import { createLog, DrError, gauge, LoopSet, sleep } from '../../base/index.ts';
import { createDrClient, type DrClient } from '../../client/index.ts';
import {
  type ActivateRequest,
  DR_CODE,
  type DrStatus,
  type RelayRequest,
  type TailReport,
  type WriteState,
} from '../../protocol/index.ts';
import type { DrBrokerOptions, LinkControl } from '../door.ts';
import type { HaServer } from '../ha/index.ts';
import type { BrokerParts, DrAttachment } from '../parts.ts';
import { ControlDesk } from './control-desk.ts';
import { Parking } from './parking.ts';
import { Relay } from './relay/index.ts';
import { registerRequests } from './requests.ts';
import { DrAdmission } from './roles/dr-admission.ts';
import { RoleEffects } from './roles/effects.ts';
import { FenceDesk } from './roles/fence-desk.ts';
import { Knowledge } from './roles/knowledge.ts';
import { LinkDesk } from './roles/link-desk.ts';
import { PeerWatch } from './roles/peer-watch.ts';
import { RoleChange } from './roles/promotion.ts';
import { RetiredOps } from './roles/retired-ops.ts';
import { StoreSink, TableSink } from './sink/index.ts';
import { LinkSource } from './source/index.ts';
import { TokenMaker } from './token.ts';

const log = createLog('dr');
const WARM_INTERVAL_MS = 1000;
const LEASE_CHECK_MS = 50;
/** Between promotion and RELAY_START clients go on waiting instead of being refused. */
const RELAY_GRACE_MS = 5000;
const WRITE_STATES: WriteState[] = ['open', 'fenced', 'sealed', 'standby', 'closed', 'deposed'];

export interface DrHealth {
  ready: boolean;
  /** One sentence each, for the operator. */
  reasons: string[];
}

export class DrBroker implements DrAttachment {
  readonly sink: StoreSink;
  readonly metadataSink: TableSink;
  readonly #parts: BrokerParts;
  readonly #options: DrBrokerOptions;
  readonly #ha: HaServer;
  readonly #client: DrClient;
  readonly #parking = new Parking();
  readonly #known: Knowledge;
  readonly #admission: DrAdmission;
  readonly #effects: RoleEffects;
  readonly #fence: FenceDesk;
  readonly #roles: RoleChange;
  readonly #links: LinkDesk;
  readonly #relay: Relay;
  readonly #watch: PeerWatch;
  readonly #tokens: TokenMaker;
  readonly #source: LinkSource;
  readonly #loops: LoopSet;
  #link: LinkControl | undefined;
  #leaseTimer: NodeJS.Timeout | undefined;
  /** Runs while a side that was sealed and then deposed still waits for RELAY_START. */
  #relayGrace: NodeJS.Timeout | undefined;

  constructor(parts: BrokerParts, options: DrBrokerOptions, ha: HaServer) {
    const { store, tables, clock, config, timers } = parts;
    const { guard } = store;
    const fileSize = config.mappedFileSizeCommitLog;
    const refresh = (why: string) => this.#effects.refresh(why);
    this.#parts = parts;
    this.#options = options;
    this.#ha = ha;
    this.#loops = new LoopSet((reason) => parts.fail(reason));
    this.#client = createDrClient({ secret: options.secret });
    this.sink = new StoreSink(store, config.storePathRootDir, () => this.#tokens.forget());
    this.metadataSink = new TableSink(
      { tables, guard, timers },
      () => void this.#effects.register(),
    );
    this.#tokens = new TokenMaker({ store, tables, fileSize });
    this.#known = new Knowledge(guard, () => this.#onDeposed());
    this.#admission = new DrAdmission({
      guard,
      parking: this.#parking,
      known: this.#known,
      standbyGroups: new Set(options.standbyGroups),
      isRefusingFence: () => this.#fence.isLeaseFence,
      awaitsRelay: () => this.#relayGrace !== undefined,
      leaseHolds: options.leaseMs > 0 ? () => this.#watch.leaseHolds() : undefined,
      nowMs: () => clock.monotonicMs(),
    });
    const retired = new RetiredOps(config.storePathRootDir);
    this.#links = new LinkDesk({ guard, retired, link: () => this.#requireLink() });
    this.#fence = new FenceDesk({
      parts,
      parking: this.#parking,
      admission: this.#admission,
      retired,
      refresh,
      askPeers: () => this.#watch.ask(),
    });
    this.#relay = new Relay({
      parts,
      parking: this.#parking,
      rootDir: config.storePathRootDir,
      setIntercept: (hook) => {
        this.#admission.intercept = hook;
      },
    });
    this.#effects = new RoleEffects({
      parts,
      ha,
      admission: this.#admission,
      isRelaying: () => this.#relay.target !== undefined || this.#relayGrace !== undefined,
      release: () => this.#fence.release(),
      refuseParked: () => this.#fence.refuseParked(),
    });
    this.#watch = this.#makeWatch();
    this.#source = new LinkSource({
      store,
      ha,
      fileSize,
      haAddress: () => this.haAddress,
      nowMs: () => clock.nowMs(),
    });
    this.#roles = new RoleChange({
      parts,
      sink: this.sink,
      tableSink: this.metadataSink,
      tokens: this.#tokens,
      known: this.#known,
      link: () => this.#link,
      links: this.#links,
      refresh,
      register: () => this.#effects.register(),
      stopRelay: () => this.#relay.stop(),
      confirmActive: (source, epoch) => this.#confirmActive(source, epoch),
    });
    tables.setStandbyGroups(options.standbyGroups);
    parts.admission.current = this.#admission;
    this.#serveRequests();
    this.#registerMetrics();
  }

  get haAddress(): string {
    return `${this.#parts.config.brokerIP2}:${this.#ha.port}`;
  }

  useLink(link: LinkControl): void {
    this.#link = link;
  }

  async start(): Promise<void> {
    await this.#ha.start();
    this.#fence.start();
    this.#relay.restore();
    this.#effects.start();
    this.#loops.run('peer watch', (signal) => this.#watch.run(signal));
    this.#loops.run('token warm-up', (signal) => this.#keepWarm(signal));
    if (this.#options.leaseMs > 0) {
      this.#leaseTimer = setInterval(() => {
        if (!this.#watch.leaseHolds()) this.#fence.fenceByLease();
      }, LEASE_CHECK_MS);
    }
  }

  async stop(): Promise<void> {
    clearInterval(this.#leaseTimer);
    this.#endRelayGrace();
    this.#effects.stop();
    this.#fence.stop();
    this.#client.close();
    await this.#loops.stop();
    this.#relay.close();
    await this.#ha.stop();
  }

  status(): DrStatus {
    const { store, config, clock } = this.#parts;
    const { guard } = store;
    const { state } = guard;
    const bounds = store.storeBounds();
    const active = this.#known.active;
    const relay = this.#relay.target;
    return {
      region: state.region,
      role: state.role,
      writeState: guard.writeState,
      epoch: state.epoch,
      opId: this.#fence.fencedBy ?? state.sealedBy ?? state.opId,
      clusterName: config.brokerClusterName,
      brokerName: config.brokerName,
      storeId: state.storeId,
      boot: state.lineage.at(-1)?.boot ?? '',
      lineage: [...state.lineage],
      minOffset: bounds.minOffset,
      maxOffset: state.role === 'standby' ? store.validatedEnd() : bounds.maxOffset,
      mappedFileSizeCommitLog: config.mappedFileSizeCommitLog,
      activeRegion: active?.region,
      activeEpoch: active?.epoch ?? 0,
      accounts: this.#parts.accounts(),
      parkedSends: this.#parking.count,
      relay: relay && {
        target: relay.target,
        region: relay.region,
        epoch: relay.epoch,
        connections: this.#relay.connections,
      },
      link: this.#link?.report(),
      haAddress: this.haAddress,
      nowMs: clock.nowMs(),
    };
  }

  /** For the health page: ready = this side does what its role asks for. */
  drHealth(): DrHealth {
    const { guard } = this.#parts.store;
    const { writeState, state } = guard;
    const reasons = [...this.#watch.reasons];
    const active = this.#known.active;
    const other = `${active?.region || 'another region'} at epoch ${active?.epoch ?? 0}`;
    if (writeState === 'deposed') reasons.push(`deposed: the active region is ${other}`);
    if (writeState === 'sealed') reasons.push(`sealed by operation ${state.sealedBy}`);
    if (writeState === 'fenced') reasons.push(`fenced by ${this.#fence.fencedBy}`);
    if (writeState === 'standby') {
      const link = this.#link?.report();
      if (link === undefined) reasons.push('standby without a link');
      else if (link.state !== 'following') {
        reasons.push(`link ${link.state}${link.lastError ? `: ${link.lastError}` : ''}`);
      }
    }
    return { ready: reasons.length === 0, reasons };
  }

  #makeWatch(): PeerWatch {
    const { regions, region, globalNameservers, leaseMs } = this.#options;
    const { config, store, clock } = this.#parts;
    const others = Object.entries(regions).filter(([name]) => name !== region);
    const brokers = others.flatMap(([, addresses]) => addresses.brokers[config.brokerName] ?? []);
    return new PeerWatch({
      guard: store.guard,
      known: this.#known,
      client: this.#client,
      ownRegion: region,
      brokers,
      globalNameservers,
      leaseMs,
      monotonicMs: () => clock.monotonicMs(),
      onChange: (change) => {
        if (change === 'opened') this.#effects.refresh('boot check passed');
        else if (change === 'lease-lost') this.#fence.fenceByLease();
        else this.#fence.liftLease();
      },
    });
  }

  #serveRequests(): void {
    const desk = new ControlDesk({
      parts: this.#parts,
      secret: this.#options.secret,
      status: () => this.status(),
      onControl: (connection) => this.#relay.keepLocal(connection),
    });
    registerRequests(desk, {
      fence: this.#fence,
      roles: this.#roles,
      links: this.#links,
      relay: this.#relay,
      tokens: this.#tokens,
      source: this.#source,
      effects: this.#effects,
      status: () => this.status(),
      link: () => this.#requireLink(),
      tailReport: () => this.#tailReport(),
      startRelay: (request) => this.#startRelay(request),
      activate: (request) => this.#activate(request),
      learnOfStandby: (epoch) => this.#learnOfStandby(epoch),
    });
  }

  /** A planned switch: the sealed side hears of its successor before the relay starts. */
  #onDeposed(): void {
    this.#endRelayGrace();
    if (this.#parts.store.guard.state.sealedBy !== undefined) {
      this.#relayGrace = setTimeout(() => {
        this.#endRelayGrace();
        this.#effects.refresh('no relay was started');
      }, RELAY_GRACE_MS);
    }
    this.#effects.refresh('deposed');
  }

  #endRelayGrace(): void {
    clearTimeout(this.#relayGrace);
    this.#relayGrace = undefined;
  }

  #startRelay(request: RelayRequest): void {
    const { state } = this.#parts.store.guard;
    // Only a region above ours can be relayed to; as a standby we are at its epoch already.
    if (request.epoch < state.epoch + (state.role === 'active' ? 1 : 0)) {
      throw new DrError('FENCED', `relay to epoch ${request.epoch}, but it is ${state.epoch}`);
    }
    this.#relay.start(request);
    this.#known.learn({ region: request.region, epoch: request.epoch });
    this.#endRelayGrace();
    this.#effects.refresh('relay started');
  }

  #activate({ epoch, opId }: ActivateRequest): void {
    const { guard } = this.#parts.store;
    if (guard.writeState === 'open' && guard.state.epoch === epoch) return;
    if (guard.writeState !== 'closed' || this.#known.isOutdated) {
      const active = this.#known.active;
      const seen = `highest epoch seen: ${active?.epoch} of ${active?.region || 'unknown'}`;
      throw new DrError('REFUSED', `cannot activate: this side is ${guard.writeState}; ${seen}`);
    }
    guard.open(epoch);
    this.#watch.suspendLease();
    log.warn('epoch.activated', 'opened by order of the operator, no peer had answered', {
      epoch,
      opId,
    });
    this.#effects.refresh(`activated by ${opId}`);
  }

  /** A standby with a higher epoch than its source: somebody was promoted that we never heard of. */
  #learnOfStandby(epoch: number): void {
    const { region, regions } = this.#options;
    const others = Object.keys(regions).filter((name) => name !== region);
    const only = others.length === 1 ? (others[0] ?? '') : '';
    this.#known.learn({ region: only, epoch });
  }

  async #confirmActive(source: string, epoch: number): Promise<boolean> {
    const request = { code: DR_CODE.STATUS, body: {} };
    const status = await this.#client.control<DrStatus>(source, request);
    return status.role === 'active' && status.epoch === epoch;
  }

  #requireLink(): LinkControl {
    if (this.#link !== undefined) return this.#link;
    throw new DrError('REFUSED', 'this broker runs without a link');
  }

  #tailReport(): TailReport {
    if (this.#link !== undefined) return this.#link.tailReport();
    const queues = [...this.#parts.store.queues()].map((queue) => ({
      queue: `${queue.topic}@${queue.queueId}`,
      standbyMax: queue.max as number,
      sourceMax: 0,
    }));
    const validatedEnd = this.#parts.store.validatedEnd();
    return { validatedEnd, sampledAtMs: 0, sourceEpoch: 0, sourceEnd: 0, queues };
  }

  async #keepWarm(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#tokens.warm().catch((reason: unknown) => {
        log.warn('token.warm-failed', DrError.from(reason).message, {});
        this.#tokens.forget();
      });
      await sleep(WARM_INTERVAL_MS, signal).catch((reason: unknown) => {
        if (!signal.aborted) throw reason;
      });
    }
  }

  #registerMetrics(): void {
    const { guard } = this.#parts.store;
    gauge({
      name: 'dr_epoch',
      help: 'epoch of this store',
      collect: (self) => self.set(guard.state.epoch),
    });
    gauge({
      name: 'dr_write_state',
      help: '1 for the write state in force',
      labelNames: ['state'],
      collect: (self) => {
        for (const state of WRITE_STATES) self.set({ state }, guard.writeState === state ? 1 : 0);
      },
    });
    gauge({
      name: 'dr_parked_sends',
      help: 'sends that wait for the end of a fence',
      collect: (self) => self.set(this.#parking.count),
    });
  }
}
