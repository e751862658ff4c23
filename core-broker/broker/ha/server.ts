// The HA port: accepts peers, keeps them until the store's role changes.
// The protocol has no authentication and is clear text; bind address and allow-list are its only fence.
// Invariant: nobody is fed by a store that may not write (standby, closed, deposed): the guard is asked
// at accept, before every frame, and all connections are dropped at each change of role.
// Source: DefaultHAService of Apache RocketMQ, behaviour only; the fence is ours.
import * as net from 'node:net';
import { createLog, DrError, gauge, listenProblem, type Service } from '../../base/index.ts';
import type { ArrivalListener, MessageStore } from '../../store/index.ts';
import { HaConnection, type HaFeed, type HaPeer } from './connection.ts';

const log = createLog('ha');
/** A region has a handful of links; more is a mistake or an attack. */
const HA_CONNECTIONS_MAX = 64;
/** A stock slave's read buffer holds 4 MiB; a frame must fit with its header. */
const FRAME_BYTES_LIMIT = 4 * 1024 * 1024 - 12;
const FRAME_BYTES_MIN = 1024 * 1024;

export interface HaServerOptions {
  store: MessageStore;
  fileSize: number;
  bindAddress: string;
  /** 0 = chosen by the system. */
  port: number;
  /** Addresses or CIDR ranges that may connect; empty = any. */
  allow: string[];
  /** haTransferBatchSize; smaller values are raised to 1 MiB, which every slave can read. */
  frameBytes: number;
  /** Both are asked for at each use: an operator may change them. */
  heartbeatMs: () => number;
  silenceMs: () => number;
}

export class HaServer implements Service, ArrivalListener {
  readonly #options: HaServerOptions;
  readonly #feed: HaFeed;
  readonly #allow: net.BlockList | undefined;
  readonly #connections = new Set<HaConnection>();
  #isWaking = false;
  readonly #server = net.createServer((socket) => this.#onSocket(socket));

  constructor(options: HaServerOptions) {
    this.#options = options;
    this.#allow = options.allow.length === 0 ? undefined : parseAllowList(options.allow);
    this.#feed = {
      store: options.store,
      fileSize: options.fileSize,
      frameBytesMax: Math.min(Math.max(options.frameBytes, FRAME_BYTES_MIN), FRAME_BYTES_LIMIT),
      heartbeatMs: options.heartbeatMs,
      silenceMs: options.silenceMs,
      mayFeed: () => mayFeed(options.store),
    };
    options.store.onDurable(() => this.#wakeAll());
    // The end of a file has no arrival and a record may be dispatched after it is durable: both wake.
    options.store.onArrival(this);
    gauge({
      name: 'dr_ha_connections',
      help: 'peers on the HA port',
      collect: (self) => self.set(this.#connections.size),
    });
  }

  /** Port in use, known after start. */
  get port(): number {
    const address = this.#server.address();
    return address !== null && typeof address === 'object' ? address.port : this.#options.port;
  }

  get peers(): HaPeer[] {
    return [...this.#connections].map((connection) => connection.peer);
  }

  /** @throws DrError LOCKED, CONFIG when the port cannot be bound */
  async start(): Promise<void> {
    const { port, bindAddress } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const place = { what: 'haListenPort', host: bindAddress, port };
      this.#server.once('error', (cause) => reject(listenProblem(cause, place)));
      this.#server.listen(port, bindAddress, () => resolve());
    });
  }

  async stop(): Promise<void> {
    this.dropAll('stop');
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Every change of role ends every stream: peers must attach again and compare histories. */
  dropAll(why: string): void {
    if (this.#connections.size > 0) {
      log.info('ha.dropped', 'all HA connections closed', { why, peers: this.#connections.size });
    }
    for (const connection of this.#connections) connection.close();
  }

  /** Ends the streams of one peer address (its link was replaced by a newer one). */
  dropFrom(remoteAddress: string, why: string): void {
    for (const connection of this.#connections) {
      if (connection.remoteAddress !== remoteAddress) continue;
      log.info('ha.dropped', 'HA connection closed', { why, peer: connection.address });
      connection.close();
    }
  }

  #onSocket(socket: net.Socket): void {
    const peer = socket.remoteAddress ?? '';
    const refusal = this.#refusal(peer);
    if (refusal !== undefined) {
      log.warn('ha.refused', refusal, { peer });
      socket.destroy();
      return;
    }
    const connection = new HaConnection(socket, this.#feed, () => {
      this.#connections.delete(connection);
    });
    this.#connections.add(connection);
    void connection.run();
  }

  #refusal(peer: string): string | undefined {
    if (!mayFeed(this.#options.store)) return 'this store feeds nobody in its present role';
    if (this.#connections.size >= HA_CONNECTIONS_MAX) return 'too many HA connections';
    if (this.#allow === undefined || isListed(this.#allow, peer)) return undefined;
    return 'address is not in the allow-list of the HA port';
  }

  /** Of the store; false while a wake-up is already on its way: asked for every run, it spares the calls. */
  get isListening(): boolean {
    return !this.#isWaking && this.#connections.size > 0;
  }

  /** Of the store: a record was dispatched. */
  onArrival(): void {
    if (!this.isListening) return;
    this.#isWaking = true;
    setImmediate(() => {
      this.#isWaking = false;
      this.#wakeAll();
    });
  }

  #wakeAll(): void {
    for (const connection of this.#connections) connection.wake();
  }
}

/** Sealed still feeds: the standby must be able to drain it. */
function mayFeed(store: MessageStore): boolean {
  const state = store.guard.writeState;
  return state === 'open' || state === 'fenced' || state === 'sealed';
}

/** @throws DrError CONFIG naming the entry that is no address and no range */
function parseAllowList(entries: string[]): net.BlockList {
  const list = new net.BlockList();
  for (const entry of entries) {
    const [address = '', prefix] = entry.split('/');
    const family = net.isIPv6(address) ? 'ipv6' : 'ipv4';
    const bits = prefix === undefined ? undefined : Number(prefix);
    const isBad = bits !== undefined && !(Number.isInteger(bits) && bits >= 0 && bits <= 128);
    if (net.isIP(address) === 0 || isBad) {
      throw new DrError('CONFIG', `haAllow: '${entry}' is no IP address and no CIDR range`);
    }
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, bits, family);
  }
  return list;
}

function isListed(list: net.BlockList, peer: string): boolean {
  const plain = peer.startsWith('::ffff:') ? peer.slice(7) : peer;
  return list.check(plain, net.isIPv6(plain) ? 'ipv6' : 'ipv4');
}
