// Calls RocketMQ processes by address: one connection per address, made on demand, pipelined, kept.
// A response with a code other than 0 is a result here, not an error.
// Invariant: a call ends within its time-out, connecting included.
import { DrError } from '../base/index.ts';
import { parseAddress, type RemotingCommand, type RequestInit } from '../protocol/index.ts';
import { ClientConnection } from './client-connection.ts';
import { type PeerIdentity, processIdentity } from './tls/index.ts';

const CONNECT_TIMEOUT_MS = 3_000;

/** Answers a request of a peer; undefined = no answer (its code is not ours). */
export type PeerRequestHandler = (
  address: string,
  request: RemotingCommand,
) => RemotingCommand | undefined;

export interface RemotingClientOptions {
  connectTimeoutMs?: number;
  /** Who calls; default: the identity of the process, asked at each call. */
  identity?: PeerIdentity;
}

export class RemotingClient {
  readonly #connectTimeoutMs: number;
  readonly #identity: PeerIdentity | undefined;
  readonly #connections = new Map<string, ClientConnection>();
  #handler: PeerRequestHandler = () => undefined;
  #isClosed = false;

  constructor(options: RemotingClientOptions = {}) {
    this.#identity = options.identity;
    this.#connectTimeoutMs = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
  }

  /**
   * Sends a request and waits for its answer.
   * @throws DrError NETWORK (not sent, or the connection was lost), TIMEOUT (effect unknown), PROTOCOL,
   * BUSY, CANCELLED after close()
   */
  async invoke(address: string, request: RequestInit, timeoutMs: number): Promise<RemotingCommand> {
    const connection = this.#connectionTo(address);
    const signed = this.#signed(request);
    if (!connection.isConnecting) return connection.invoke(signed, timeoutMs);
    const startedMs = performance.now();
    await connection.ready(timeoutMs);
    const leftMs = Math.max(1, timeoutMs - (performance.now() - startedMs));
    return connection.invoke(signed, leftMs);
  }

  /** Sends without an answer; resolves when the request is queued on a connection. */
  async oneway(address: string, request: RequestInit): Promise<void> {
    const connection = this.#connectionTo(address);
    if (connection.isConnecting) await connection.ready(this.#connectTimeoutMs);
    connection.oneway(this.#signed(request));
  }

  #signed(request: RequestInit): RequestInit {
    return (this.#identity ?? processIdentity()).sign?.(request) ?? request;
  }

  /** Who answers requests of the peers (39, 40, 220, 221, 307, 309, 326). One handler. */
  onRequest(handler: PeerRequestHandler): void {
    this.#handler = handler;
  }

  /** Drops the connection to one address: the next call makes a new one. */
  disconnect(address: string): void {
    this.#connections.get(address)?.close();
  }

  /** Closes every connection; calls under way end with CANCELLED. */
  close(): void {
    this.#isClosed = true;
    for (const connection of [...this.#connections.values()]) {
      connection.close(new DrError('CANCELLED', 'the client was closed'));
    }
  }

  #connectionTo(address: string): ClientConnection {
    if (this.#isClosed) throw new DrError('CANCELLED', 'the client was closed');
    return this.#connections.get(address) ?? this.#open(address);
  }

  #open(address: string): ClientConnection {
    const connection: ClientConnection = new ClientConnection(
      {
        ...parseAddress(address),
        address,
        connectTimeoutMs: this.#connectTimeoutMs,
        tls: (this.#identity ?? processIdentity()).tls,
      },
      {
        onRequest: (request) => this.#handler(address, request),
        onClose: () => {
          if (this.#connections.get(address) === connection) this.#connections.delete(address);
        },
      },
    );
    this.#connections.set(address, connection);
    return connection;
  }
}
