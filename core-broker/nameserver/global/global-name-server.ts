// The global name server as a service: sockets, polls, files. Clients keep this one address for ever;
// which region they see is the active-region file, changed only by a signed FLIP with a higher epoch.
// One runs per region; they do not know each other, the controller flips each of them.
// Order of a flip: durable file -> in force -> answered. See router.ts for what answers promise.
// Source: ours.
import {
  ActiveRegionRegister,
  type Clock,
  createLog,
  DrError,
  gauge,
  LoopSet,
  sleep,
  systemClock,
} from '../../base/index.ts';
import { createPeerClient, type PeerClient } from '../../client/index.ts';
import { DrRequestVerifier, FlipReceiver } from '../../protocol/index.ts';
import {
  RemotingServer,
  RequestDispatcher,
  type RequestHandler,
  ServerTls,
  type TlsServerSettings,
} from '../../remoting/index.ts';
import type { GlobalConfig, NameserverConfig } from '../config/load.ts';
import { type NameServer, reachableAddress, requestsServed, toResponse } from '../serving.ts';
import { AnswerFile } from './answer-file.ts';
import { RegionLink } from './region-link.ts';
import { RegionView } from './region-view.ts';
import { GlobalRouter } from './router.ts';

const log = createLog('nameserver.global');
const SAVE_INTERVAL_MS = 5_000;

export interface GlobalNameServer extends NameServer {
  /** Region and epoch in force. */
  readonly active: { region: string; epoch: number };
}

export interface GlobalNameServerOptions {
  config: NameserverConfig;
  clock?: Clock;
}

/**
 * Builds a global name server; nothing listens before start().
 * @throws DrError CONFIG without a dr section; from start(): NETWORK, CORRUPT (state file), CONFIG (the
 * state file names a region that is not configured)
 */
export function createGlobalNameServer(options: GlobalNameServerOptions): GlobalNameServer {
  const { global, settings } = options.config;
  if (!global) throw new DrError('CONFIG', 'a global name server needs drMode=global or dual');
  const idleMs = settings.serverChannelMaxIdleTimeSeconds * 1000;
  const tls = options.config.tls.server;
  const listen = { host: settings.bindAddress, port: settings.listenPort, idleMs, tls };
  return new ServedGlobalNameServer(global, listen, options.clock ?? systemClock);
}

interface Listen {
  host: string;
  port: number;
  idleMs: number;
  tls: TlsServerSettings;
}

class ServedGlobalNameServer implements GlobalNameServer {
  readonly #config: GlobalConfig;
  readonly #listen: Listen;
  readonly #clock: Clock;
  readonly #peer: PeerClient = createPeerClient();
  readonly #views = new Map<string, RegionView>();
  readonly #answers: AnswerFile;
  readonly #loops = new LoopSet((reason, name) => {
    log.error('loop.died', reason.message, { name });
  });
  #register: ActiveRegionRegister | undefined;
  #server: RemotingServer | undefined;

  constructor(config: GlobalConfig, listen: Listen, clock: Clock) {
    this.#config = config;
    this.#listen = listen;
    this.#clock = clock;
    for (const [region, addresses] of config.regions) {
      const link = new RegionLink(region, addresses, this.#peer);
      // Two missed polls: an older entry means that polling is behind, so ask again.
      const freshMs = 2 * config.pollIntervalMs;
      this.#views.set(region, new RegionView(link, { clock, freshMs }));
    }
    this.#answers = new AnswerFile(`${config.statePath}.answers`, this.#views);
  }

  get address(): string {
    return reachableAddress(this.#listen.host, this.#server?.port ?? 0);
  }

  get active(): { region: string; epoch: number } {
    if (!this.#register) return { region: this.#config.initialRegion, epoch: 0 };
    const { region, epoch } = this.#register.current;
    return { region, epoch };
  }

  status(): Record<string, unknown> {
    const regions = [...this.#views].map(([name, view]) => [name, { up: view.link.isUp }]);
    return { mode: this.#config.mode, ...this.active, regions: Object.fromEntries(regions) };
  }

  health(): { reasons: string[] } {
    if (!this.#server) return { reasons: ['the name server has not started'] };
    const { region } = this.active;
    const isUp = this.#views.get(region)?.link.isUp ?? false;
    return { reasons: isUp ? [] : [`no name server of the active region ${region} answers`] };
  }

  async start(): Promise<void> {
    this.#register = this.#openRegister();
    this.#answers.load();
    const handlers = this.#handlers(this.#register);
    const listener = new RequestDispatcher({ handlers, toResponse });
    const tls = new ServerTls(this.#listen.tls);
    this.#server = new RemotingServer({ ...this.#listen, listener, tls });
    await this.#server.listen();
    for (const view of this.#views.values()) {
      this.#loops.run(`poll ${view.link.region}`, (signal) => this.#pollForever(view, signal));
    }
    this.#loops.run('save', (signal) => this.#saveForever(signal));
    this.#observe();
    log.info('nameserver.started', 'serving', { address: this.address, ...this.active });
  }

  #openRegister(): ActiveRegionRegister {
    const { statePath, initialRegion, regions } = this.#config;
    const register = ActiveRegionRegister.open(statePath, initialRegion);
    const { region } = register.current;
    if (regions.has(region)) return register;
    throw new DrError('CONFIG', `${statePath}: the active region '${region}' is not in drRegions`);
  }

  #handlers(register: ActiveRegionRegister): Map<number, RequestHandler> {
    const { config, clock } = { config: this.#config, clock: this.#clock };
    const router = new GlobalRouter({
      register,
      views: this.#views,
      gateways: config.gateways,
      isDual: config.mode === 'dual',
      clock,
    });
    const flips = new FlipReceiver({
      register,
      verifier: new DrRequestVerifier(config.secret),
      regions: new Set(config.regions.keys()),
      nowMs: () => clock.nowMs(),
      apply: (region) => {
        router.flipped();
        log.info('region.flipped', 'clients are sent to', {
          region,
          epoch: register.current.epoch,
        });
        return 0;
      },
    });
    const handlers = new Map<number, RequestHandler>();
    for (const code of GlobalRouter.codes) {
      handlers.set(code, (request) => {
        requestsServed.inc({ code });
        return router.handle(request);
      });
    }
    for (const code of FlipReceiver.codes) handlers.set(code, (request) => flips.answer(request));
    return handlers;
  }

  async #pollForever(view: RegionView, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await view.poll();
      await sleep(this.#config.pollIntervalMs, signal);
    }
  }

  async #saveForever(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(SAVE_INTERVAL_MS, signal);
      this.#answers.save();
    }
  }

  #observe(): void {
    gauge({
      name: 'dr_global_epoch',
      help: 'epoch of the flip in force at this global name server',
      collect: (self) => self.set(this.active.epoch),
    });
  }

  async stop(): Promise<void> {
    await this.#server?.close();
    // Closing the connections ends questions that are on their way, so the loops end soon.
    this.#peer.close();
    await this.#loops.stop();
    if (this.#server) this.#answers.save();
  }
}
