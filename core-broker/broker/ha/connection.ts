// One peer on the HA port: the master's side of the classic replication protocol.
//   peer -> us   int64 maxPhyOffset (the last whole word of a burst counts; also the ack)
//   us -> peer   int64 phyOffset, int32 size, size bytes; size 0 = heartbeat
// States: waiting for the first report -> sending from `next` -> closed. Nothing is sent before the
// first report. Report 0 = start of the last file, 1 = byte 1, a negative number = wait, anything else
// = exactly there. An offset below our minimum gets heartbeats and no data: that is what Apache does,
// so a stock slave sees nothing new, but it is logged and counted because it looks healthy and is not.
// Source: DefaultHAConnection of Apache RocketMQ, behaviour only.
import type { Socket } from 'node:net';
import { counter, createLog, DrError } from '../../base/index.ts';
import type { MessageStore } from '../../store/index.ts';
import { type LogPiece, LogReader } from './log-reader.ts';

const HEADER_BYTES = 12;
const REPORT_BYTES = 8;
const WORD = 2 ** 32;
/** Longest wait for new data before looking again, as Apache's. */
const IDLE_WAIT_MS = 100;

const log = createLog('ha');
const belowMinimum = counter({
  name: 'dr_ha_below_minimum_total',
  help: 'peers that asked for log bytes which retention has already deleted',
});
const sentBytes = counter({
  name: 'dr_ha_sent_bytes_total',
  help: 'commit log bytes sent to peers',
});

export interface HaFeed {
  store: MessageStore;
  /** mappedFileSizeCommitLog, bytes. */
  fileSize: number;
  frameBytesMax: number;
  heartbeatMs: () => number;
  silenceMs: () => number;
  /** False as soon as this store may not feed anybody (role, epoch). */
  mayFeed(): boolean;
}

/** What code 907 and the metrics show of one peer. */
export interface HaPeer {
  address: string;
  ackOffset: number;
  sentFrom: number;
  bytesPerSecond: number;
}

export class HaConnection {
  readonly address: string;
  readonly remoteAddress: string;
  readonly #socket: Socket;
  readonly #feed: HaFeed;
  readonly #partial = Buffer.alloc(REPORT_BYTES);
  #partialBytes = 0;
  #next = -1;
  #ackOffset = -1;
  #isOpen = true;
  #lastReadMs = performance.now();
  #lastWriteMs = performance.now();
  #windowStartMs = performance.now();
  #windowBytes = 0;
  #bytesPerSecond = 0;
  #wake: (() => void) | undefined;

  constructor(socket: Socket, feed: HaFeed, onClose: () => void) {
    this.#socket = socket;
    this.#feed = feed;
    this.remoteAddress = socket.remoteAddress ?? '';
    this.address = `${this.remoteAddress}:${socket.remotePort ?? 0}`;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#onReports(chunk));
    socket.on('drain', () => this.wake());
    socket.on('error', (reason) =>
      log.debug('ha.socket-error', reason.message, { peer: this.address }),
    );
    socket.on('close', () => {
      this.#isOpen = false;
      this.wake();
      onClose();
    });
  }

  get peer(): HaPeer {
    return {
      address: this.address,
      ackOffset: Math.max(0, this.#ackOffset),
      sentFrom: Math.max(0, this.#next),
      bytesPerSecond: this.#bytesPerSecond,
    };
  }

  /** Sends until the connection ends; never rejects. */
  async run(): Promise<void> {
    try {
      await this.#untilFirstReport();
      if (this.#isOpen) await this.#send();
    } catch (reason) {
      const failure = DrError.from(reason);
      log.error('ha.read-failed', failure.message, { peer: this.address, offset: this.#next });
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#isOpen = false;
    this.#socket.destroy();
    this.wake();
  }

  /** New data, drained socket or end: looks again at once. */
  wake(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  async #untilFirstReport(): Promise<void> {
    while (this.#isOpen && this.#next < 0) {
      if (!this.#isAllowedToGoOn()) return this.close();
      await this.#pause(IDLE_WAIT_MS);
    }
  }

  async #send(): Promise<void> {
    const { store, fileSize, frameBytesMax } = this.#feed;
    const reader = new LogReader({
      store,
      fileSize,
      offset: this.#next,
      pieceBytesMax: frameBytesMax,
    });
    while (this.#isOpen && this.#isAllowedToGoOn()) {
      if (reader.isStarved) {
        await this.#pause(IDLE_WAIT_MS);
        continue;
      }
      const piece = await reader.next();
      if (!this.#isOpen) return;
      if (piece !== undefined) {
        // Order: the role may have changed while the disk was read; such bytes must not leave.
        if (!this.#feed.mayFeed()) return;
        this.#writeFrame(piece.offset, piece);
        continue;
      }
      if (performance.now() - this.#lastWriteMs >= this.#feed.heartbeatMs()) {
        this.#writeFrame(this.#next, undefined);
      }
      await this.#pause(IDLE_WAIT_MS);
    }
  }

  #isAllowedToGoOn(): boolean {
    if (!this.#feed.mayFeed()) {
      log.warn('ha.closed', 'this store feeds nobody in its present role', { peer: this.address });
      return false;
    }
    const silentMs = performance.now() - this.#lastReadMs;
    if (silentMs <= this.#feed.silenceMs()) return true;
    log.warn('ha.peer-silent', 'no report in time', { peer: this.address, silentMs });
    return false;
  }

  /** A piece is given back when the kernel has it. */
  #writeFrame(offset: number, piece: LogPiece | undefined): void {
    const header = Buffer.allocUnsafe(HEADER_BYTES);
    const size = piece?.bytes.length ?? 0;
    header.writeUInt32BE(Math.floor(offset / WORD), 0);
    header.writeUInt32BE(offset % WORD, 4);
    header.writeInt32BE(size, 8);
    this.#socket.cork();
    this.#socket.write(header);
    if (piece !== undefined) {
      this.#socket.write(piece.bytes, () => {
        piece.release();
        this.wake();
      });
    }
    this.#socket.uncork();
    this.#next = offset + size;
    this.#lastWriteMs = performance.now();
    this.#countSent(size);
  }

  #countSent(size: number): void {
    sentBytes.inc(size);
    this.#windowBytes += size;
    const elapsedMs = this.#lastWriteMs - this.#windowStartMs;
    if (elapsedMs < 1000) return;
    this.#bytesPerSecond = Math.round((this.#windowBytes * 1000) / elapsedMs);
    this.#windowBytes = 0;
    this.#windowStartMs = this.#lastWriteMs;
  }

  /** Reports may be split and coalesced: only the last whole word counts. */
  #onReports(chunk: Buffer): void {
    this.#lastReadMs = performance.now();
    const held = this.#partialBytes;
    const wholeBytes = Math.floor((held + chunk.length) / REPORT_BYTES) * REPORT_BYTES;
    if (wholeBytes === 0) {
      chunk.copy(this.#partial, held);
      this.#partialBytes = held + chunk.length;
      return;
    }
    const endInChunk = wholeBytes - held;
    if (endInChunk >= REPORT_BYTES) {
      this.#onReport(readOffset(chunk, endInChunk - REPORT_BYTES));
    } else {
      chunk.copy(this.#partial, held, 0, endInChunk);
      this.#onReport(readOffset(this.#partial, 0));
    }
    chunk.copy(this.#partial, 0, endInChunk);
    this.#partialBytes = chunk.length - endInChunk;
  }

  #onReport(offset: number): void {
    if (offset > this.#ackOffset) this.#ackOffset = offset;
    if (this.#next >= 0 || offset < 0) return;
    this.#next = this.#startOffset(offset);
    this.wake();
  }

  #startOffset(report: number): number {
    const { store, fileSize } = this.#feed;
    const { minOffset, writtenOffset } = store.storeBounds();
    const start = report === 0 ? writtenOffset - (writtenOffset % fileSize) : report;
    if (report !== 0 && start < minOffset) {
      belowMinimum.inc();
      log.error('ha.below-minimum', 'peer wants bytes that retention deleted: it gets no data', {
        peer: this.address,
        offset: start,
        minOffset,
      });
    }
    log.info('ha.started', 'peer reported its end', { peer: this.address, report, start });
    return start;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.wake(), ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Signed int64; offsets stay below 2^53, -1 comes out as -1. */
function readOffset(bytes: Buffer, at: number): number {
  return bytes.readInt32BE(at) * WORD + bytes.readUInt32BE(at + 4);
}
