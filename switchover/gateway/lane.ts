// One lane: the two listeners (main and VIP, port - 2) that stand for one broker name, and the clients
// on them. Each client gets a connection of its own to that broker in the active region; bytes are
// spliced, only frame ends are noted. What a flip does with connections to another region:
//   hand over  the old side is sealed and answers: it gives each client back between two frames, and the
//              same client connection goes on at the new side (passage.ts); who is not given back in time
//              is cut. Clients of one group arrive together, so that rebalancing sees them all.
//   cut        the old side is dead or not trusted: the client's side is closed too, because clients
//              reconnect at once on a lost connection but would wait out a time-out on a silent one.
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
  listenProblem,
  sleep,
} from '../../core-broker/base/index.ts';
import { Passage } from './passage.ts';

const log = createLog('gateway');

/** Longest wait for one upstream connect, and for all tries of one client around a flip, ms. */
const CONNECT_TIMEOUT_MS = 1_000;
const RETRY_BUDGET_MS = 1_000;
const RETRY_PAUSE_MS = 25;
/** How long after a flip a refused upstream is tried again: the new side may still be opening. */
const FLIP_SHADOW_MS = 5_000;
/** Longest wait for the old side to give one client back, ms; within the clients' own time-outs. */
const HAND_OVER_MS = 1_000;
/** Longest wait of one client for the others of its lane, ms. */
const GATHER_MS = 250;
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

const handedOver = counter({
  name: 'dr_gateway_handed_over_total',
  help: 'client connections that went on at the new region without being cut',
  labelNames: ['broker'],
});

/** Where clients go now. */
export interface ActiveView {
  region(): string;
  /** Main listener of a broker in the active region. */
  broker(brokerName: string): HostPort | undefined;
  /** Monotonic ms of the last flip; -Infinity when there was none. */
  flippedAtMs(): number;
  /** A RELEASE for one connection, signed; never used twice. */
  releaseRequest(): Buffer;
}

export class Lane {
  readonly #brokerName: string;
  readonly #listen: HostPort;
  readonly #view: ActiveView;
  readonly #clock: Clock;
  /** Client -> its passage and the listener it came by. */
  readonly #passengers = new Map<Passage, number>();
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
      const place = { what: `gateway for ${this.#brokerName}`, host: this.#listen.host, port };
      server.once('error', (cause) => reject(listenProblem(cause, place)));
      server.listen({ port, host: this.#listen.host, backlog: 1024 }, resolve);
    });
    server.on('error', (reason) => {
      log.warn('gateway.listener', 'accept failed', { error: reason.message });
    });
    this.#servers.push(server);
  }

  async #carry(client: net.Socket, shift: number): Promise<void> {
    accepted.inc({ broker: this.#brokerName });
    const passage = new Passage(client);
    client.on('error', (reason) => {
      log.debug('gateway.client', 'client connection failed', { error: reason.message });
    });
    if (this.#stopping || this.#passengers.size >= LIMITS.connectionsMax) {
      client.resetAndDestroy();
      return;
    }
    this.#passengers.set(passage, shift);
    client.once('close', () => this.#leave(passage));
    client.setKeepAlive(true, 30_000);
    const reached = await this.#reach(passage, shift);
    if (client.destroyed) return;
    if (!reached) {
      refused.inc({ broker: this.#brokerName });
      client.resetAndDestroy();
      return;
    }
    this.#board(passage, reached);
  }

  #board(passage: Passage, reached: Reached, given?: Buffer): void {
    const broker = this.#brokerName;
    if (passage.region !== '') connections.dec({ broker, region: passage.region });
    connections.inc({ broker, region: reached.region });
    passage.board(reached.upstream, reached.region, given);
  }

  #leave(passage: Passage): void {
    this.#passengers.delete(passage);
    passage.close();
    if (passage.region === '') return;
    connections.dec({ broker: this.#brokerName, region: passage.region });
  }

  /** Connects to the active region; follows a flip that happens meanwhile. */
  async #reach(passage: Passage, shift: number): Promise<Reached | undefined> {
    const deadline = this.#clock.monotonicMs() + RETRY_BUDGET_MS;
    while (!passage.client.destroyed && !this.#stopping) {
      const target = this.#view.broker(this.#brokerName);
      if (!target) return undefined;
      const region = this.#view.region();
      const port = target.port + shift;
      const upstream = net.connect({ host: target.host, port, noDelay: true });
      passage.next = upstream;
      const isConnected = await settled(upstream);
      if (isConnected && region === this.#view.region()) return { region, upstream };
      upstream.destroy();
      if (!this.#mayRetry(region, deadline)) return undefined;
      await sleep(RETRY_PAUSE_MS);
    }
    return undefined;
  }

  /** Right after a flip the new side may need a moment; at any other time down means down. */
  #mayRetry(triedRegion: string, deadline: number): boolean {
    const now = this.#clock.monotonicMs();
    if (triedRegion !== this.#view.region()) return true;
    return now < deadline && now - this.#view.flippedAtMs() < FLIP_SHADOW_MS;
  }

  /** Cuts every connection that goes to another region than `region`; returns how many. */
  cutOthers(region: string): number {
    const others = this.#elsewhere(region);
    for (const passage of others) {
      if (passage.region === '') passage.next?.destroy();
      else passage.client.destroy();
    }
    return others.length;
  }

  /** Takes every connection to another region than `region` over, between two frames; how many. */
  handOver(region: string): number {
    const others = this.#elsewhere(region);
    const carried = others.filter((passage) => passage.region !== '' && !passage.isLeaving);
    const gather = gathering(carried.length);
    for (const passage of others) {
      // Why cut: between two upstreams it cannot be turned round a second time.
      if (passage.isLeaving) passage.client.destroy();
      else if (passage.region === '') passage.next?.destroy();
    }
    for (const passage of carried) {
      this.#changeOver(passage, gather).catch((reason: unknown) => {
        const error = DrError.from(reason).message;
        log.warn('gateway.cut', 'a connection could not be handed over', { error });
        passage.client.destroy();
      });
    }
    return others.length;
  }

  async #changeOver(passage: Passage, gather: Gathering): Promise<void> {
    const shift = this.#passengers.get(passage) ?? 0;
    const timer = setTimeout(() => passage.client.destroy(), HAND_OVER_MS);
    try {
      const [given, reached] = await Promise.all([
        passage.leave(this.#view.releaseRequest()),
        this.#reach(passage, shift),
      ]);
      if (!reached) throw new DrError('NETWORK', `${this.#brokerName}: no way to the new side`);
      await gather.arrive();
      // Each await may have been the last of this client, or brought another flip.
      if (passage.client.destroyed) return;
      this.#board(passage, reached, given);
      handedOver.inc({ broker: this.#brokerName });
    } finally {
      clearTimeout(timer);
      gather.leave();
    }
  }

  /** Connections that lead, or are about to lead, to another region. */
  #elsewhere(region: string): Passage[] {
    return [...this.#passengers.keys()].filter(
      (passage) => passage.region !== region || passage.isLeaving,
    );
  }

  /** Closes the listeners and every connection; resolves when they are gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    for (const passage of [...this.#passengers.keys()]) passage.client.destroy();
    await Promise.all(
      this.#servers.splice(0).map((server) => new Promise((done) => server.close(done))),
    );
  }
}

/** An upstream that is connected, and the region it leads to. */
interface Reached {
  region: string;
  upstream: net.Socket;
}

/** Lets connections that change over wait for each other, for a while. */
interface Gathering {
  /** Resolves when everybody has arrived or left, or the time is over. */
  arrive(): Promise<void>;
  /** For those that do not arrive; harmless for the others. */
  leave(): void;
}

function gathering(count: number): Gathering {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, GATHER_MS);
  let left = count;
  const oneLess = () => {
    if (--left > 0) return;
    clearTimeout(timer);
    resolve();
  };
  return {
    arrive: () => {
      oneLess();
      return promise;
    },
    leave: oneLess,
  };
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
