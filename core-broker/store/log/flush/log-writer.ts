// Brings the ring to the disk: one flush per loop turn.
// ASYNC_FLUSH: one write() of everything pending, on the loop or on the thread pool (loop-writes.ts);
// acknowledged after the write.
// SYNC_FLUSH: one O_DSYNC write per commit, up to three in flight, acknowledged in order; what goes into a
// new file also waits until the file's name is on disk.
// Invariant: `written` and `durable` only grow, in log order, after a write that reported every byte.
// A full disk: what is not written goes back to who appended it (onFull), nothing more is taken, and the
// writer asks the disk now and then, with zeros behind the end, whether it has room again. Another error
// stops it for good.
import { createLog, DrError, sleep } from '../../../base/index.ts';
import type { FlushDiskType } from '../../door.ts';
import { type FileLayer, isDiskFull, writeFully } from '../file-layer.ts';
import type { LogFile, LogFiles } from '../log-files.ts';
import type { LogState } from '../log-state.ts';
import type { Ring } from '../ring.ts';
import { LoopWrites } from './loop-writes.ts';

/** The thread pool has four threads: one is left for everybody else. */
const COMMITS_IN_FLIGHT_MAX = 3;
const COMMIT_BYTES_MAX = 4 * 1024 * 1024;
const DISK_FULL_RETRY_MS = 100;
/** Room that must be there before appends are taken again; it stays allocated for them. */
const PROBE = Buffer.alloc(1024 * 1024);

const log = createLog('store');

export interface WriterParts {
  ring: Ring;
  files: LogFiles;
  state: LogState;
  layer: FileLayer;
}

export interface WriterListener {
  /** `written` grew or the writer failed. */
  onProgress(): void;
  /** The disk is full and no write is under way: what is not written must be given up now. */
  onFull(): void;
}

interface Piece {
  from: number;
  to: number;
  isDone: boolean;
  /** SYNC_FLUSH into a new file: resolves when its name is on disk. */
  named?: Promise<void>;
}

export class LogWriter {
  readonly #ring: Ring;
  readonly #files: LogFiles;
  readonly #state: LogState;
  readonly #layer: FileLayer;
  readonly #isSync: boolean;
  readonly #listener: WriterListener;
  readonly #loopWrites = new LoopWrites();
  #inFlight: Piece[] = [];
  #submitted = 0;
  #isScheduled = false;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(parts: WriterParts, flushDiskType: FlushDiskType, listener: WriterListener) {
    this.#ring = parts.ring;
    this.#files = parts.files;
    this.#state = parts.state;
    this.#layer = parts.layer;
    this.#isSync = flushDiskType === 'SYNC_FLUSH';
    this.#listener = listener;
  }

  /** Asks for a flush in this loop turn; call after every append. */
  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(this.#turn);
  }

  /** Nothing is pending or in flight. */
  get isIdle(): boolean {
    return this.#inFlight.length === 0 && this.#state.written === this.#state.end;
  }

  get hasWritesInFlight(): boolean {
    return this.#inFlight.some((piece) => !piece.isDone);
  }

  /** After the log was cut or the link appended past the ring. */
  reset(): void {
    this.#submitted = this.#state.end;
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
  }

  /** Resolves when no write is in flight any more; after close(). */
  async settled(): Promise<void> {
    while (this.hasWritesInFlight) await sleep(1);
  }

  readonly #turn = (): void => {
    this.#isScheduled = false;
    const state = this.#state;
    state.nowMs = 0;
    if (this.#isClosed || state.failure !== undefined || this.#retry !== undefined) return;
    if (this.#submitted < state.written) this.#submitted = state.written;
    try {
      if (this.#isSync) this.#submitCommits();
      else this.#writePending();
    } catch (reason) {
      this.#fail(reason);
      this.#giveBack();
    }
  };

  #writePending(): void {
    const state = this.#state;
    if (this.#inFlight.length > 0 || state.written === state.end) return;
    while (state.written < state.end) {
      const piece = this.#nextPiece(state.written);
      if (!this.#loopWrites.mayWait(piece.to - piece.from)) {
        this.#submit(piece);
        return;
      }
      this.#loopWrites.run(() => this.#writeBlocking(piece));
    }
    this.#listener.onProgress();
  }

  #writeBlocking(piece: Piece): void {
    const file = this.#files.ensure(piece.from);
    while (piece.from < piece.to) {
      const done = this.#layer.writeSync(file.fd, this.#ring.bytes, this.#span(piece, file));
      piece.from += done;
      this.#advance(piece.from);
    }
  }

  #submitCommits(): void {
    while (this.#inFlight.length < COMMITS_IN_FLIGHT_MAX && this.#submitted < this.#state.end) {
      this.#submit(this.#nextPiece(this.#submitted));
    }
  }

  /** Longest range from `from` inside one file and one stretch of the ring. */
  #nextPiece(from: number): Piece {
    const pending = Math.min(this.#state.end - from, COMMIT_BYTES_MAX, this.#files.leftAt(from));
    return { from, to: from + this.#ring.contiguous(from, pending), isDone: false };
  }

  #submit(piece: Piece): void {
    const file = this.#files.ensure(piece.from);
    const fd = this.#isSync ? this.#files.syncHandle(file) : file.fd;
    this.#inFlight.push(piece);
    this.#submitted = piece.to;
    this.#files.hold(file);
    if (this.#isSync && !this.#files.areNamed) {
      // Why here: the disk can do both at once. A failure is the piece's, when its write has ended.
      piece.named = this.#files.syncNames();
      piece.named.catch(() => undefined);
    }
    this.#continue(piece, file, fd);
  }

  #continue(piece: Piece, file: LogFile, fd: number): void {
    this.#layer.write(fd, this.#ring.bytes, this.#span(piece, file), (reason, done) => {
      if (reason === null && piece.from + done < piece.to) {
        piece.from += done;
        this.#continue(piece, file, fd);
        return;
      }
      this.#files.release(file);
      const end = (why: NodeJS.ErrnoException | null) => this.#end(piece, why);
      if (reason === null && piece.named !== undefined) piece.named.then(() => end(null), end);
      else end(reason);
    });
  }

  #end(piece: Piece, reason: NodeJS.ErrnoException | null): void {
    piece.isDone = true;
    if (reason === null) piece.from = piece.to;
    else this.#fail(reason);
    this.#settle();
  }

  #span(piece: Piece, file: LogFile) {
    return {
      start: this.#ring.at(piece.from),
      length: piece.to - piece.from,
      position: piece.from - file.start,
    };
  }

  /** Takes finished pieces from the head: acknowledgements stay in log order. */
  #settle(): void {
    const before = this.#state.written;
    while (this.#inFlight[0]?.isDone) {
      const piece = this.#inFlight[0];
      // Invariant: a piece that failed stops the order; what follows it is written again.
      if (piece.from < piece.to) {
        if (this.hasWritesInFlight) return;
        this.#inFlight = [];
        this.#submitted = this.#state.written;
        this.#giveBack();
        break;
      }
      this.#inFlight.shift();
      this.#advance(piece.to);
    }
    if (this.#state.written > before) this.#listener.onProgress();
    if (this.#state.written < this.#state.end) this.schedule();
  }

  /** Order: who waits for what is written hears of it before the rest is given up. */
  #giveBack(): void {
    if (!this.#state.isDiskFull || this.#inFlight.length > 0) return;
    this.#listener.onProgress();
    try {
      this.#listener.onFull();
    } catch (reason) {
      this.#state.failure ??= DrError.from(reason);
      log.error('store.failed', 'the log could not be cut back on a full disk', {
        reason: String(reason),
      });
      this.#listener.onProgress();
    }
    this.#submitted = this.#state.end;
  }

  /** Zeros behind the end of the log are what stands there anyway. */
  #probe(): void {
    const state = this.#state;
    if (this.#isClosed || state.failure !== undefined || !state.isDiskFull) return;
    try {
      const file = this.#files.ensure(state.end);
      const length = Math.min(PROBE.length, this.#files.leftAt(state.end));
      const position = state.end - file.start;
      writeFully(this.#layer, file.fd, PROBE, { start: 0, length, position });
    } catch (reason) {
      this.#fail(reason);
      return;
    }
    state.isDiskFull = false;
    log.info('store.writable', 'the disk has room again', { offset: state.end });
  }

  #advance(to: number): void {
    const state = this.#state;
    if (to <= state.written) return;
    state.written = to;
    state.durable = to;
    if (this.#isSync) state.flushed = to;
  }

  #fail(reason: unknown): void {
    if (!isDiskFull(reason)) {
      this.#state.failure ??= DrError.from(reason);
      log.error('store.failed', 'a write failed; nothing is acknowledged any more', {
        offset: this.#state.written,
        reason: String(reason),
      });
      this.#listener.onProgress();
      return;
    }
    if (!this.#state.isDiskFull) {
      log.error('store.disk_full', 'no room for the commit log; writes are refused', {
        offset: this.#state.written,
      });
    }
    this.#state.isDiskFull = true;
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#probe();
    }, DISK_FULL_RETRY_MS);
  }
}
