// One lane: the two listeners (main and VIP, port - 2) that stand for one broker name, and the clients
// on them. Each client gets a connection of its own to that broker in the active region; bytes are
// spliced, never parsed. On a flip every connection to another region is cut on the client's side too:
// clients reconnect at once on a lost connection but would wait out a time-out on a silent one.
// Invariant: no byte of a client reaches a region that was not active when its upstream connected.
import * as net from 'node:net';
import {
  type Clock,
  counter,
  createLog,
  DrError,
  gauge,
  type HostPort,
  LIMITS,
  sleep,
} from '../../core-broker/base/index.ts';
import { splice } from '../../core-broker/remoting/index.ts';

const log = createLog('gateway');

/** Longest wait for one upstream connect, and for all tries of one client around a flip, ms. */
const CONNECT_TIMEOUT_MS = 1_000;
const RETRY_BUDGET_MS = 1_000;
const RETRY_PAUSE_MS = 25;
/** How long after a flip a refused upstream is tried again: the new side may still be opening. */
const FLIP_SHADOW_MS = 5_000;
const VIP_SHIFT = -2;

const connections = gauge({
  name: 'dr_gateway_connections',
  help: 'client connections spliced to a broker now',
  labelNames: ['broker', 'region'],
});
const accepted = counter({
  name: 'dr_gateway_accepted_total',
  help: 'client connections accepted',
  labelNames: ['broker'],
});
const refused = counter({
  name: 'dr_gateway_refused_total',
  help: 'client connections closed because the active broker could not be reached',
  labelNames: ['broker'],
});

/** Where clients go now. */
export interface ActiveView {
  region(): string;
  /** Main listener of a broker in the active region. */
  broker(brokerName: string): HostPort | undefined;
  /** Monotonic ms of the last flip; -Infinity when there was none. */
  flippedAtMs(): number;
}

interface Passenger {
  client: net.Socket;
  region: string;
  upstream: net.Socket | undefined;
}

export class Lane {
  readonly #brokerName: string;
  readonly #listen: HostPort;
  readonly #view: ActiveView;
  readonly #clock: Clock;
  readonly #passengers = new Set<Passenger>();
  readonly #servers: net.Server[] = [];
  #stopping = false;

  constructor(brokerName: string, listen: HostPort, world: { view: ActiveView; clock: Clock }) {
    this.#brokerName = brokerName;
    this.#listen = listen;
    this.#view = world.view;
    this.#clock = world.clock;
  }

  /** Opens both listeners. @throws DrError NETWORK when a port cannot be had */
  async start(): Promise<void> {
    const { port } = this.#listen;
    await this.#open(port, 0);
    await this.#open(port === 0 ? 0 : port + VIP_SHIFT, VIP_SHIFT);
  }

  /** Port clients use, known after start. */
  get port(): number {
    return portOf(this.#servers[0]);
  }

  /** Port of the VIP listener; main port - 2 unless the system chose. */
  get vipPort(): number {
    return portOf(this.#servers[1]);
  }

  get size(): number {
    return this.#passengers.size;
  }

  async #open(port: number, shift: number): Promise<void> {
    const server = net.createServer({ pauseOnConnect: true, noDelay: true }, (client) => {
      this.#carry(client, shift).catch((reason: unknown) => {
        const error = DrError.from(reason).message;
        log.warn('gateway.client', 'a connection could not be carried', { error });
        client.destroy();
      });
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause) => {
        const at = `${this.#listen.host}:${port}`;
        reject(
          new DrError('NETWORK', `gateway for ${this.#brokerName}: cannot listen on ${at}`, {
            cause,
          }),
        );
      });
      server.listen({ port, host: this.#listen.host, backlog: 1024 }, resolve);
    });
    server.on('error', (reason) => {
      log.warn('gateway.listener', 'accept failed', { error: reason.message });
    });
    this.#servers.push(server);
  }

  async #carry(client: net.Socket, shift: number): Promise<void> {
    accepted.inc({ broker: this.#brokerName });
    const passenger: Passenger = { client, region: '', upstream: undefined };
    client.on('error', (reason) => {
      log.debug('gateway.client', 'client connection failed', { error: reason.message });
    });
    if (this.#stopping || this.#passengers.size >= LIMITS.connectionsMax) {
      client.resetAndDestroy();
      return;
    }
    this.#passengers.add(passenger);
    client.once('close', () => this.#leave(passenger));
    client.setKeepAlive(true, 30_000);
    const isThrough = await this.#reach(passenger, shift);
    if (client.destroyed) return;
    if (!isThrough || !passenger.upstream) {
      refused.inc({ broker: this.#brokerName });
      client.resetAndDestroy();
      return;
    }
    connections.inc({ broker: this.#brokerName, region: passenger.region });
    const label = { broker: this.#brokerName, region: passenger.region };
    client.once('close', () => connections.dec(label));
    splice(client, passenger.upstream, { bufferBytesMax: LIMITS.relayBufferBytesMax });
  }

  #leave(passenger: Passenger): void {
    this.#passengers.delete(passenger);
    passenger.upstream?.destroy();
  }

  /** Connects to the active region; follows a flip that happens meanwhile. */
  async #reach(passenger: Passenger, shift: number): Promise<boolean> {
    const deadline = this.#clock.monotonicMs() + RETRY_BUDGET_MS;
    while (!passenger.client.destroyed && !this.#stopping) {
      const target = this.#view.broker(this.#brokerName);
      if (!target) return false;
      passenger.region = this.#view.region();
      const port = target.port + shift;
      passenger.upstream = net.connect({ host: target.host, port, noDelay: true });
      const isConnected = await settled(passenger.upstream);
      if (isConnected && passenger.region === this.#view.region()) return true;
      passenger.upstream.destroy();
      if (!this.#mayRetry(passenger.region, deadline)) return false;
      await sleep(RETRY_PAUSE_MS);
    }
    return false;
  }

  /** Right after a flip the new side may need a moment; at any other time down means down. */
  #mayRetry(triedRegion: string, deadline: number): boolean {
    const now = this.#clock.monotonicMs();
    if (triedRegion !== this.#view.region()) return true;
    return now < deadline && now - this.#view.flippedAtMs() < FLIP_SHADOW_MS;
  }

  /** Cuts every connection that goes to another region than `region`; returns how many. */
  cutOthers(region: string): number {
    let moved = 0;
    for (const passenger of [...this.#passengers]) {
      if (passenger.region === region) continue;
      moved++;
      if (passenger.upstream?.connecting) passenger.upstream.destroy();
      else passenger.client.destroy();
    }
    return moved;
  }

  /** Closes the listeners and every connection; resolves when they are gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const passenger of [...this.#passengers]) passenger.client.destroy();
    await Promise.all(
      this.#servers.splice(0).map((server) => new Promise((done) => server.close(done))),
    );
  }
}

function portOf(server: net.Server | undefined): number {
  const address = server?.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** True once connected; false when it failed, was destroyed or took too long. */
function settled(upstream: net.Socket): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => upstream.destroy(), CONNECT_TIMEOUT_MS);
    upstream.on('error', (reason) => {
      log.debug('gateway.upstream', 'upstream connection failed', { error: reason.message });
    });
    upstream.once('connect', () => {
      clearTimeout(timer);
      resolve(true);
    });
    upstream.once('close', () => {
      clearTimeout(timer);
      resolve(false);
    });
  });
}
