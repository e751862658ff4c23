// A gateway: stable addresses that routes name instead of brokers. It holds one lane per broker name and
// a control port; a signed FLIP with a higher epoch re-points all lanes in one tick.
// Order of a flip: durable file -> new connections go to the new region -> old connections handed over
// (planned) or cut (failover) -> answered with their number. The data port speaks no protocol of its own:
// bytes are spliced; only for the moment of a hand-over does the gateway talk to the old broker.
// Source: ours; the measured gain is in docs/performance.md.
import { randomUUID } from 'node:crypto';
import {
  ActiveRegionRegister,
  type Clock,
  counter,
  createLog,
  DrError,
  gauge,
  type Service,
  systemClock,
} from '../../core-broker/base/index.ts';
import {
  DR_CODE,
  DrRequestVerifier,
  encodeRequest,
  FlipReceiver,
  RELEASE_OPAQUE,
  type ReleaseRequest,
  ResponseCode,
  signDrRequest,
} from '../../core-broker/protocol/index.ts';
import {
  RemotingServer,
  RequestDispatcher,
  type RequestHandler,
  ServerTls,
} from '../../core-broker/remoting/index.ts';
import type { GatewayConfig } from './config.ts';
import { type ActiveView, Lane } from './lane.ts';

const log = createLog('gateway');

const flips = counter({ name: 'dr_gateway_flips_total', help: 'flips taken by this gateway' });
const movedTotal = counter({
  name: 'dr_gateway_moved_total',
  help: 'client connections handed over or cut by flips',
});

export interface Gateway extends Service {
  /** host:port of the control port, known after start. */
  readonly controlAddress: string;
  /** Region and epoch in force. */
  readonly active: { region: string; epoch: number };
  /** Broker name -> port clients use, and its VIP port; known after start. */
  readonly ports: ReadonlyMap<string, { main: number; vip: number }>;
}

export interface GatewayOptions {
  config: GatewayConfig;
  clock?: Clock;
}

/**
 * Builds a gateway; nothing listens before start().
 * @throws from start(): DrError NETWORK (a port is taken), CORRUPT (state file), CONFIG (the state file
 * names a region that is not configured)
 */
export function createGateway(options: GatewayOptions): Gateway {
  return new SplicingGateway(options.config, options.clock ?? systemClock);
}

class SplicingGateway implements Gateway {
  readonly #config: GatewayConfig;
  readonly #clock: Clock;
  readonly #lanes = new Map<string, Lane>();
  #register: ActiveRegionRegister | undefined;
  #control: RemotingServer | undefined;
  #flippedAtMs = Number.NEGATIVE_INFINITY;

  constructor(config: GatewayConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
    const view: ActiveView = {
      region: () => this.active.region,
      broker: (name) => config.regions.get(this.active.region)?.get(name),
      flippedAtMs: () => this.#flippedAtMs,
      releaseRequest: () => this.#releaseRequest(),
    };
    for (const [name, listen] of config.listen) {
      this.#lanes.set(name, new Lane(name, listen, { view, clock }));
    }
  }

  get controlAddress(): string {
    const { host } = this.#config.control;
    const shown = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
    return `${shown}:${this.#control?.port ?? 0}`;
  }

  get active(): { region: string; epoch: number } {
    const { region, epoch } = this.#register?.current ?? {
      region: this.#config.initialRegion,
      epoch: 0,
    };
    return { region, epoch };
  }

  get ports(): ReadonlyMap<string, { main: number; vip: number }> {
    const pairs = [...this.#lanes].map(
      ([name, lane]) => [name, { main: lane.port, vip: lane.vipPort }] as const,
    );
    return new Map(pairs);
  }

  async start(): Promise<void> {
    const register = this.#openRegister();
    this.#register = register;
    const listener = new RequestDispatcher({
      handlers: this.#handlers(register),
      toResponse: (error) => ({
        code: error.code === 'AUTH' ? ResponseCode.NO_PERMISSION : ResponseCode.SYSTEM_ERROR,
        remark: error.message,
      }),
    });
    const tls = new ServerTls(this.#config.tls);
    this.#control = new RemotingServer({ ...this.#config.control, listener, tls });
    try {
      await this.#control.listen();
      for (const lane of this.#lanes.values()) await lane.start();
    } catch (reason) {
      await this.stop();
      throw reason;
    }
    gauge({
      name: 'dr_gateway_epoch',
      help: 'epoch of the flip in force at this gateway',
      collect: (self) => self.set(this.active.epoch),
    });
    log.info('gateway.started', 'serving', { control: this.controlAddress, ...this.active });
  }

  #openRegister(): ActiveRegionRegister {
    const { statePath, initialRegion, regions } = this.#config;
    const register = ActiveRegionRegister.open(statePath, initialRegion);
    const { region } = register.current;
    if (regions.has(region)) return register;
    throw new DrError('CONFIG', `${statePath}: the active region '${region}' is not in drRegions`);
  }

  #handlers(register: ActiveRegionRegister): Map<number, RequestHandler> {
    const receiver = new FlipReceiver({
      register,
      verifier: new DrRequestVerifier(this.#config.secret),
      regions: new Set(this.#config.regions.keys()),
      nowMs: () => this.#clock.nowMs(),
      apply: (region, isHandOver) => this.#repoint(region, isHandOver),
    });
    const answer: RequestHandler = (request) => receiver.answer(request);
    return new Map(FlipReceiver.codes.map((code) => [code, answer]));
  }

  #repoint(region: string, isHandOver: boolean): number {
    this.#flippedAtMs = this.#clock.monotonicMs();
    let moved = 0;
    for (const lane of this.#lanes.values()) {
      moved += isHandOver ? lane.handOver(region) : lane.cutOthers(region);
    }
    flips.inc();
    movedTotal.inc(moved);
    log.info('gateway.flipped', 'clients are sent to', { ...this.active, moved, isHandOver });
    return moved;
  }

  #releaseRequest(): Buffer {
    const signed = signDrRequest(this.#config.secret, {
      code: DR_CODE.RELEASE,
      body: JSON.stringify(this.active satisfies ReleaseRequest),
      opId: this.#register?.current.opId ?? '',
      nonce: randomUUID(),
      nowMs: this.#clock.nowMs(),
    });
    return encodeRequest(signed, RELEASE_OPAQUE);
  }

  async stop(): Promise<void> {
    await this.#control?.close();
    await Promise.all([...this.#lanes.values()].map((lane) => lane.stop()));
  }
}
