// The contract between the socket layer and everything above it.
// One server class serves brokers, name servers and gateways; one client class calls any RocketMQ peer.
// Hot path: `onFrame` is called synchronously with positions into the receive chunk, no slices, no
// objects; replies are written into the connection's output and leave in one write per tick.
import type { RemotingCommand, RequestInit, ResponseInit } from '../protocol/index.ts';

/** Called for each complete frame in `chunk` (length word included); bytes are valid during the call only. */
export interface FrameListener {
  onFrame(connection: ServerConnection, chunk: Buffer, start: number, end: number): void;
  onOpen?(connection: ServerConnection): void;
  /** Called exactly once per connection, whatever closed it; detach() counts as closing. */
  onClose?(connection: ServerConnection): void;
  /**
   * Offered whenever several whole frames wait in [start, end) of the chunk: takes as many of the first as it
   * likes. @returns the position behind those it took
   */
  onFrames?(connection: ServerConnection, chunk: Buffer, start: number, end: number): number;
  /** After all frames of one read were delivered: the moment to flush work batched over frames. */
  onBatchEnd?(connection: ServerConnection): void;
}

export interface ServerConnection {
  /** Unique in this process. */
  readonly id: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Port of ours that the peer came in by: the VIP port serves fewer codes. */
  readonly localPort: number;
  /** Peer address in record form: 4 (or 16) address bytes and int32 port. */
  readonly bornHost: Buffer;
  readonly isOpen: boolean;
  /** Per-connection state of the layer above (client ids, parked frames). */
  attachment: unknown;
  /** Requests that a handler is still working on; counted by the request dispatcher. */
  unanswered: number;
  /** Queues bytes; all bytes of one tick leave in one socket write. Copies `bytes`. */
  write(bytes: Buffer): void;
  /**
   * Room for `size` bytes at the end of the output; the caller fills output.buffer from the returned
   * position at once (hot path: reply templates).
   */
  reserve(size: number): number;
  readonly output: { readonly buffer: Buffer; readonly unsentBytes: number };
  /** Answers a request (never for oneway requests: the caller checks). */
  respond(opaque: number, response: ResponseInit): void;
  /** Server -> client request with an answer (codes 307, 309, 326). */
  request(init: RequestInit, timeoutMs: number): Promise<RemotingCommand>;
  /** Server -> client oneway (codes 39, 40, 220). */
  notify(init: RequestInit): void;
  /** Stops reading until resume(): back-pressure. Frames of the current read are still delivered. */
  pause(): void;
  resume(): void;
  /**
   * Hands the raw duplex stream over (relay, gateway), paused, with every unread byte put back; inside
   * onFrame that is what follows the current frame. The server forgets the connection.
   */
  detach(): import('node:net').Socket;
  close(): void;
}
