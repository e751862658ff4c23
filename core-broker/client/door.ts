// The contract of the client library: talks to any RocketMQ cluster (ours or stock) over the wire.
import type { Secret } from '../base/index.ts';
import type { RemotingCommand, RequestInit } from '../protocol/index.ts';

/** Calls one peer by address; keeps one connection per address, reconnects on demand. */
export interface PeerClient {
  /**
   * @throws DrError NETWORK, TIMEOUT (effect unknown), PROTOCOL. A response with a code other than 0
   * is returned, not thrown.
   */
  invoke(address: string, request: RequestInit, timeoutMs: number): Promise<RemotingCommand>;
  /** As invoke, but a code other than 0 throws DrError REMOTE with context.code. */
  call(address: string, request: RequestInit, timeoutMs: number): Promise<RemotingCommand>;
  oneway(address: string, request: RequestInit): Promise<void>;
  /** Requests the peer sends to us (39, 40, 220, 221, 307, 309). */
  onRequest(
    handler: (address: string, request: RemotingCommand) => RemotingCommand | undefined,
  ): void;
  close(): void;
}

/** Signed private requests (protocol/dr-control.ts). */
export interface DrClient {
  /**
   * @param code one of DR_CODE
   * @returns the JSON answer
   * @throws DrError FENCED (34000), VERIFY_FAILED (34001), REFUSED (34002), AUTH (16), NETWORK, TIMEOUT, REMOTE
   */
  control<T>(
    address: string,
    request: { code: number; body: object; opId?: string },
    timeoutMs?: number,
  ): Promise<T>;
  close(): void;
}

export interface DrClientOptions {
  secret: Secret;
}
