// A regional name server: brokers of one region register here, clients (and the global name servers)
// read routes. All state but the key-value configuration is in memory, as brokers bring it back within
// 30 s. A broker leaves in three ways: it says so, its connection closes (at once), it falls silent
// (scan). Why the scan may skip a round: when this process itself was stopped for a while, silence says
// nothing about the brokers. Source: NamesrvController and RouteInfoManager of Apache, behaviour only.
import { type Clock, counter, createLog, DrError, gauge, systemClock } from '../../base/index.ts';
import { createPeerClient, type PeerClient } from '../../client/index.ts';
import { RequestCode } from '../../protocol/index.ts';
import {
  type FrameListener,
  RemotingServer,
  RequestDispatcher,
  type RequestHandler,
  type ServerConnection,
  ServerTls,
} from '../../remoting/index.ts';
import type { NameserverConfig } from '../config/load.ts';
import { type MinIdChange, RouteTable } from '../route/route-table.ts';
import { type NameServer, reachableAddress, requestsServed, toResponse } from '../serving.ts';
import { type RegionalState, regionalHandlers } from './handlers.ts';
import { KvConfig } from './kv-config.ts';

const log = createLog('nameserver');

const registrations = counter({
  name: 'dr_nameserver_registrations_total',
  help: 'REGISTER_BROKER requests by outcome',
  labelNames: ['outcome'],
});
const departures = counter({
  name: 'dr_nameserver_unregistered_total',
  help: 'broker addresses that left, by reason',
  labelNames: ['why'],
});

export interface NameServerOptions {
  config: NameserverConfig;
  clock?: Clock;
}

/**
 * Builds a regional name server; nothing listens before start().
 * @throws from start(): DrError NETWORK (port taken), CORRUPT (key-value file)
 */
export function createNameServer(options: NameServerOptions): NameServer {
  return new RegionalNameServer(options.config, options.clock ?? systemClock);
}

class RegionalNameServer implements NameServer {
  readonly #config: NameserverConfig;
  readonly #clock: Clock;
  readonly #table: RouteTable;
  readonly #peer: PeerClient = createPeerClient();
  #server: RemotingServer | undefined;
  #startedAtMs = 0;
  #scan: NodeJS.Timeout | undefined;
  #lastScanMs = 0;

  constructor(config: NameserverConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
    this.#table = new RouteTable(config.settings);
  }

  get address(): string {
    return reachableAddress(this.#config.settings.bindAddress, this.#server?.port ?? 0);
  }

  async start(): Promise<void> {
    const { settings } = this.#config;
    this.#startedAtMs = this.#clock.monotonicMs();
    const state: RegionalState = {
      config: this.#config,
      table: this.#table,
      kv: KvConfig.open(settings.kvConfigPath),
      clock: this.#clock,
      startedAtMs: this.#startedAtMs,
      notify: (change) => this.#notify(change),
      unregister: (broker) => this.#unregister(broker, 'asked'),
      registered: (outcome) => registrations.inc({ outcome }),
    };
    const { bindAddress: host, listenPort: port } = settings;
    const idleMs = settings.serverChannelMaxIdleTimeSeconds * 1000;
    const tls = new ServerTls(this.#config.tls.server);
    const listener = this.#listener(state);
    this.#server = new RemotingServer({ host, port, idleMs, listener, tls });
    await this.#server.listen();
    this.#observe();
    this.#planScan();
    log.info('nameserver.started', 'serving', { address: this.address });
  }

  #listener(state: RegionalState): FrameListener {
    const handlers = new Map<number, RequestHandler>();
    for (const [code, handler] of regionalHandlers(state)) {
      handlers.set(code, (request, connection) => {
        requestsServed.inc({ code });
        return handler(request, connection.id);
      });
    }
    const dispatcher = new RequestDispatcher({ handlers, toResponse });
    return {
      onFrame: (connection, chunk, start, end) => dispatcher.onFrame(connection, chunk, start, end),
      onClose: (connection) => {
        dispatcher.onClose(connection);
        this.#connectionClosed(connection);
      },
    };
  }

  status(): Record<string, unknown> {
    const { live, topics, brokers } = this.#table;
    const nowMs = this.#clock.monotonicMs();
    const seen = [...live.values()].map(({ clusterName, brokerName, address, lastSeenMs }) => ({
      clusterName,
      brokerName,
      address,
      silentMs: Math.round(nowMs - lastSeenMs),
    }));
    return { mode: 'regional', names: brokers.size, topics: topics.size, brokers: seen };
  }

  health(): { reasons: string[] } {
    if (!this.#server) return { reasons: ['the name server has not started'] };
    const { needWaitForService, waitSecondsForService } = this.#config.settings;
    const ageMs = this.#clock.monotonicMs() - this.#startedAtMs;
    const isWarmingUp = needWaitForService && ageMs < waitSecondsForService * 1000;
    return { reasons: isWarmingUp ? ['routes are refused while brokers register'] : [] };
  }

  #observe(): void {
    gauge({
      name: 'dr_nameserver_brokers',
      help: 'live brokers registered here',
      collect: (self) => self.set(this.#table.live.size),
    });
    gauge({
      name: 'dr_nameserver_topics',
      help: 'topics with a route',
      collect: (self) => self.set(this.#table.topics.size),
    });
  }

  #connectionClosed(connection: ServerConnection): void {
    for (const broker of this.#table.onConnection(connection.id)) {
      this.#unregister(broker, 'connection closed');
    }
  }

  /** Each round reads the interval again: code 318 may have changed it. */
  #planScan(): void {
    const intervalMs = this.#config.settings.scanNotActiveBrokerInterval;
    this.#lastScanMs = this.#clock.monotonicMs();
    this.#scan = setTimeout(() => {
      const lateMs = this.#clock.monotonicMs() - this.#lastScanMs - intervalMs;
      if (lateMs > 2 * intervalMs) log.warn('scan.skipped', 'this process stood still', { lateMs });
      else this.#expireSilent();
      this.#planScan();
    }, intervalMs).unref();
  }

  #expireSilent(): void {
    for (const broker of this.#table.expired(this.#clock.monotonicMs())) {
      this.#unregister(broker, 'silent');
      const connections = this.#server?.connections ?? [];
      for (const connection of connections) {
        if (connection.id === broker.connectionId) connection.close();
      }
    }
  }

  #unregister(
    broker: { clusterName: string; address: string; brokerName: string },
    why: string,
  ): void {
    const { clusterName, address, brokerName } = broker;
    const change = this.#table.unregister(clusterName, address, brokerName);
    departures.inc({ why });
    log.info('broker.gone', why, { clusterName, address, brokerName });
    if (change) this.#notify(change);
  }

  /** Code 905 to the other members; best effort, the next heartbeat of the group tells them too. */
  #notify(change: MinIdChange): void {
    if (!this.#config.settings.notifyMinBrokerIdChanged) return;
    const ext = {
      minBrokerId: change.minBrokerId,
      brokerName: change.brokerName,
      minBrokerAddr: change.minBrokerAddr,
      offlineBrokerAddr: change.offlineBrokerAddr,
      haBrokerAddr: change.haBrokerAddr,
    };
    for (const target of change.targets) {
      const request = { code: RequestCode.NOTIFY_MIN_BROKER_ID_CHANGE, ext };
      this.#peer.oneway(target, request).catch((reason: unknown) => {
        const problem = DrError.from(reason).message;
        log.warn('notify.failed', 'a member was not told of the smallest id', { target, problem });
      });
    }
  }

  async stop(): Promise<void> {
    clearTimeout(this.#scan);
    await this.#server?.close();
    clearTimeout(this.#scan);
    this.#peer.close();
  }
}
