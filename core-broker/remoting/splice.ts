// Joins two sockets: what one receives the other sends, unparsed (relay, gateway).
// Back-pressure: a side is read only while the other side's unsent bytes are below the bound.
// Half-close passes on: an end of one side ends the other after its last byte. An error of either side,
// or the end of both, ends the splice and calls back once.
// Invariant: bytes keep their order and none is dropped while both sides live.
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { DrError, LIMITS } from '../base/index.ts';

export interface SpliceOptions {
  /** Unsent bytes per direction before reading pauses. */
  bufferBytesMax?: number;
  /** Called once when both sides are closed; the reason is undefined after a clean end. */
  onClose?: (reason: DrError | undefined) => void;
}

export interface Splice {
  /** Bytes forwarded from the first socket to the second, and back. */
  readonly forwardBytes: number;
  readonly backwardBytes: number;
  /** Destroys both sides; with a reason the peers see a reset instead of an end. */
  close(reason?: DrError): void;
}

/** Ends a connection so that the peer sees a reset; over TLS it sees an end without a farewell. */
export function cut(socket: Socket): void {
  if (socket instanceof TLSSocket) socket.destroy();
  else socket.resetAndDestroy();
}

/** Starts forwarding between two connected sockets and takes them over. */
export function splice(first: Socket, second: Socket, options: SpliceOptions = {}): Splice {
  const joined = new JoinedSockets(first, second, options);
  joined.start();
  return joined;
}

class JoinedSockets implements Splice {
  forwardBytes = 0;
  backwardBytes = 0;
  readonly #first: Socket;
  readonly #second: Socket;
  readonly #options: SpliceOptions;
  #reason: DrError | undefined;
  #openSides = 2;

  constructor(first: Socket, second: Socket, options: SpliceOptions) {
    this.#first = first;
    this.#second = second;
    this.#options = options;
  }

  start(): void {
    this.#carry(this.#first, this.#second, (count) => {
      this.forwardBytes += count;
    });
    this.#carry(this.#second, this.#first, (count) => {
      this.backwardBytes += count;
    });
  }

  #carry(from: Socket, to: Socket, count: (bytes: number) => void): void {
    const max = this.#options.bufferBytesMax ?? LIMITS.relayBufferBytesMax;
    from.allowHalfOpen = true;
    from.setNoDelay(true);
    from.on('data', (chunk: Buffer) => {
      count(chunk.length);
      to.write(chunk);
      if (to.writableLength > max) from.pause();
    });
    to.on('drain', () => from.resume());
    from.on('end', () => to.end());
    from.on('error', (cause) => this.close(new DrError('NETWORK', cause.message, { cause })));
    from.on('close', () => this.#onSideClosed());
    if (from.destroyed) this.close(new DrError('NETWORK', 'a side was closed before the splice'));
    else if (from.readableEnded) to.end();
    else from.resume();
  }

  #onSideClosed(): void {
    this.#openSides--;
    if (this.#openSides === 0) {
      this.#options.onClose?.(this.#reason);
      return;
    }
    // A side that closed without its end being passed on (destroyed) takes the other one with it.
    for (const side of [this.#first, this.#second]) {
      if (!side.destroyed && !side.writableEnded) side.destroy();
    }
  }

  close(reason?: DrError): void {
    this.#reason ??= reason;
    for (const side of [this.#first, this.#second]) {
      // Why a reset: a stream that was cut must not look like one that ended.
      if (reason && !side.destroyed && !side.connecting) cut(side);
      else side.destroy();
    }
  }
}
