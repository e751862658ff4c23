// One accepted connection: reassembly in, coalesced output out, requests of ours to the client.
// Back-pressure: input pauses while the unsent output is above a mark, or while the layer above asks;
// output above the limit closes the connection, because that client never reads.
// Invariants: onClose is called once; after detach() no byte is lost and none is touched any more.
import type { Socket } from 'node:net';
import { createLog, DrError } from '../base/index.ts';
import {
  decodeCommand,
  encodeHost,
  encodeRequest,
  encodeResponse,
  isResponse,
  type RemotingCommand,
  type RequestInit,
  type ResponseInit,
} from '../protocol/index.ts';
import type { FrameListener, ServerConnection } from './door.ts';
import { FrameReader, type PartialBudget } from './frame-reader.ts';
import { OpaqueTable } from './opaque-table.ts';
import { duringRead, OutputQueue } from './output-queue.ts';

const log = createLog('remoting');

/** Unsent bytes above which input pauses; it resumes below half of it. */
const OUTPUT_PAUSE_BYTES = 1024 * 1024;
/** How long close() lets queued answers leave, ms. */
const CLOSE_LINGER_MS = 1_000;

let nextId = 1;

export interface ConnectionHost {
  readonly listener: FrameListener;
  readonly frameBytesMax: number;
  readonly outputBytesMax: number;
  readonly partial: PartialBudget;
  onGone(connection: AcceptedConnection): void;
}

export class AcceptedConnection implements ServerConnection {
  readonly id: number = nextId++;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  readonly bornHost: Buffer;
  readonly output: OutputQueue;
  attachment: unknown;
  unanswered = 0;
  /** Sweeps since the last byte in or out; the server closes idle connections by it. */
  idleSweeps = 0;
  /** Nobody but the reader saw the chunk received last: its memory may be given back. */
  isChunkFree = false;
  #socket: Socket;
  readonly #host: ConnectionHost;
  readonly #reader: FrameReader;
  readonly #waiting = new OpaqueTable();
  #isOpen = true;
  #isDetached = false;
  #isPausedAbove = false;
  #isPausedByOutput = false;

  constructor(socket: Socket, host: ConnectionHost) {
    this.#socket = socket;
    this.#host = host;
    this.remoteAddress = socket.remoteAddress ?? '0.0.0.0';
    this.remotePort = socket.remotePort ?? 0;
    this.localPort = socket.localPort ?? 0;
    this.bornHost = encodeHost(this.remoteAddress, this.remotePort);
    this.output = new OutputQueue(socket, (unsentBytes) => this.#onOutput(unsentBytes));
    const { frameBytesMax, partial } = host;
    const { listener } = host;
    const runs = listener.onFrames
      ? (c: Buffer, s: number, e: number) => listener.onFrames?.(this, c, s, e) ?? s
      : undefined;
    const sink = (c: Buffer, s: number, e: number) => this.#onFrame(c, s, e);
    this.#reader = new FrameReader(sink, frameBytesMax, partial, runs);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Tells the listener; a listener that throws loses the connection, not the process. */
  opened(): void {
    try {
      this.#host.listener.onOpen?.(this);
    } catch (reason) {
      this.#fail(DrError.from(reason));
    }
  }

  /**
   * What came is the start of a TLS handshake: nothing is parsed and nothing leaves until adopt().
   * @param first bytes to put back, unless the caller does
   * @returns the socket, unread
   */
  release(first: Buffer | undefined): Socket {
    const socket = this.#socket;
    socket.removeAllListeners('data');
    socket.pause();
    if (first !== undefined) socket.unshift(first);
    this.output.moveTo(undefined);
    return socket;
  }

  /** Goes on over a stream on top of the socket. */
  adopt(socket: Socket): void {
    if (!this.#isOpen) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    socket.on('data', (chunk: Buffer) => void this.receive(chunk, chunk.length));
    this.output.moveTo(socket);
    this.#applyPause();
  }

  /** Bytes [0, end) of `chunk` arrived. @returns false when the socket belongs to somebody else now */
  receive(chunk: Buffer, end: number): boolean {
    if (!this.#isOpen) return !this.#isDetached;
    this.idleSweeps = 0;
    this.isChunkFree = false;
    duringRead(() => {
      try {
        this.#deliver(chunk, end);
      } catch (reason) {
        this.#fail(DrError.from(reason));
      }
    });
    return true;
  }

  /** Whatever happens: what is remembered of this chunk ends with it. */
  #deliver(chunk: Buffer, end: number): void {
    try {
      this.isChunkFree = this.#reader.push(chunk, end);
    } finally {
      this.#host.listener.onBatchEnd?.(this);
    }
  }

  #onFrame(chunk: Buffer, start: number, end: number): void {
    // Only while a request of ours waits can a frame be an answer that someone wants.
    if (this.#waiting.size > 0 && this.#takeResponse(chunk, start, end)) return;
    this.#host.listener.onFrame(this, chunk, start, end);
  }

  #takeResponse(chunk: Buffer, start: number, end: number): boolean {
    const command = decodeCommand(chunk, start, end);
    if (!isResponse(command)) return false;
    this.#waiting.settle(command);
    return true;
  }

  write(bytes: Buffer): void {
    if (this.#isOpen) this.output.write(bytes);
  }

  reserve(size: number): number {
    return this.output.reserve(size);
  }

  respond(opaque: number, response: ResponseInit): void {
    this.write(encodeResponse(opaque, response));
  }

  async request(init: RequestInit, timeoutMs: number): Promise<RemotingCommand> {
    if (!this.#isOpen) throw this.#goneError();
    const opaque = this.#waiting.nextOpaque();
    const frame = encodeRequest(init, opaque);
    const answer = this.#waiting.wait(opaque, timeoutMs);
    this.output.write(frame);
    return answer;
  }

  notify(init: RequestInit): void {
    this.write(encodeRequest(init, this.#waiting.nextOpaque(), { oneway: true }));
  }

  pause(): void {
    this.#isPausedAbove = true;
    this.#applyPause();
  }

  resume(): void {
    this.#isPausedAbove = false;
    this.#applyPause();
  }

  #applyPause(): void {
    if (!this.#isOpen) return;
    if (this.#isPausedAbove || this.#isPausedByOutput) this.#socket.pause();
    else this.#socket.resume();
  }

  #onOutput(unsentBytes: number): void {
    this.idleSweeps = 0;
    if (!this.#isOpen) return;
    if (unsentBytes > this.#host.outputBytesMax) {
      this.#fail(new DrError('BUSY', 'the client does not read its answers'));
      return;
    }
    const mark = this.#isPausedByOutput ? OUTPUT_PAUSE_BYTES / 2 : OUTPUT_PAUSE_BYTES;
    if (unsentBytes > mark === this.#isPausedByOutput) return;
    this.#isPausedByOutput = !this.#isPausedByOutput;
    this.#applyPause();
  }

  detach(): Socket {
    if (!this.#isOpen) throw this.#goneError();
    this.output.flushAll();
    const socket = this.#socket;
    socket.removeAllListeners('data');
    socket.off('close', this.#onClose);
    socket.off('error', this.#onError);
    // The new owner may still be connecting elsewhere: an error before it listens must not be fatal.
    socket.on('error', () => socket.destroy());
    socket.pause();
    this.#isDetached = true;
    const rest = this.#reader.stop();
    if (rest.length > 0) socket.unshift(rest);
    this.#leave(new DrError('NETWORK', 'the connection was handed over'));
    return socket;
  }

  /** Lets queued answers leave, then closes. */
  close(): void {
    if (!this.#isOpen) return;
    this.output.flushAll();
    const socket = this.#socket;
    this.#leave(new DrError('NETWORK', 'the connection was closed'));
    socket.destroySoon();
    const linger = setTimeout(() => socket.destroy(), CLOSE_LINGER_MS).unref();
    socket.once('close', () => clearTimeout(linger));
  }

  #fail(reason: DrError): void {
    if (!this.#isOpen) return;
    const fields = { peer: this.remoteAddress, code: reason.code, problem: reason.message };
    if (reason.code === 'PROTOCOL') log.debug('connection.refused', 'malformed input', fields);
    else if (reason.code === 'BUSY') log.warn('connection.refused', 'over a limit', fields);
    else log.error('connection.failed', 'a listener failed', { ...fields, stack: reason.stack });
    this.#leave(reason);
    this.#socket.destroy();
  }

  readonly #onError = (reason: Error): void => {
    log.debug('connection.lost', reason.message, { peer: this.remoteAddress });
  };

  readonly #onClose = (): void => {
    this.#leave(this.#goneError());
  };

  #goneError(): DrError {
    return new DrError('NETWORK', `the connection of ${this.remoteAddress} is closed`);
  }

  /** The only way out: every end of a connection comes here, once. */
  #leave(reason: DrError): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#reader.stop();
    this.output.close();
    this.#waiting.failAll(reason);
    this.#host.onGone(this);
    try {
      this.#host.listener.onClose?.(this);
    } catch (failure) {
      log.error('connection.failed', 'a listener failed at close', {
        problem: DrError.from(failure).stack,
      });
    }
  }
}
