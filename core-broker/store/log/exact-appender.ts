// The link's way into the log: bytes of another log at exactly their offset, in one of two ways.
// Checked at once (little traffic): check every whole record in memory → write → dispatch. Damaged bytes
// do not reach the disk. A record cut by the end of a piece waits in `carry` for its rest.
// Ahead (bulk): write as it comes; another thread checks what is in the files (check/log-checker) and
// hands digests back. Until a record was checked it is in no queue and before no end that is told.
// Order: a note that unchecked bytes may stand in the files is durable before the first of them is there,
// so that recovery knows damage of the link from damage of the disk.
// Invariant: after any error the end is the validated end again, nothing stands in the files behind it,
// and the link goes on from there.
// Source: ours; the HA stream may split records anywhere.
import { DrError } from '../../base/index.ts';
import { CheckWaiters } from '../check/check-waiters.ts';
import { type CheckerParts, LogChecker } from '../check/log-checker.ts';
import { RECORD_BYTES_MAX } from '../check/log-follower.ts';
import type { Dispatcher } from '../queue/dispatcher.ts';
import { type FileLayer, isDiskFull, writeFully } from './file-layer.ts';
import type { LogFiles } from './log-files.ts';
import type { LogState } from './log-state.ts';
import { DAMAGE, RecordCursor } from './record-bytes.ts';
import type { Ring } from './ring.ts';

const CARRY_BYTES_FIRST = 64 * 1024;
const HEAD_BYTES = 8;
const BATCH_RECORDS = 1024;
const NO_RECORD = DAMAGE[0];
/** More than this within the window is bulk: below, a check at once is sooner done than handed over. */
const BULK_BYTES = 512 * 1024;
const BULK_WINDOW_MS = 25;

export interface ExactParts {
  files: LogFiles;
  state: LogState;
  layer: FileLayer;
  ring: Ring;
  dispatcher: Dispatcher;
  checker: Pick<CheckerParts, 'topics' | 'setup'>;
  /** Durable on return: bytes behind this offset may be unchecked ones of a link. */
  allowUnchecked: (from: number) => void;
}

/** Result of checking a piece: what may be written and dispatched. */
interface Checked {
  /** The carried record is whole now. */
  isCarryDone: boolean;
  /** Whole records in the piece, their cursors in order. */
  count: number;
  /** End of the last of them. */
  to: number;
  /** The batch is full: what follows `to` was not looked at. */
  isFull: boolean;
  /** Why the record at `to` is refused. */
  problem: string | undefined;
}

export class ExactAppender {
  readonly #files: LogFiles;
  readonly #state: LogState;
  readonly #layer: FileLayer;
  readonly #ring: Ring;
  readonly #dispatcher: Dispatcher;
  readonly #allowUnchecked: (from: number) => void;
  readonly #checker: LogChecker;
  readonly #waiters = new CheckWaiters();
  readonly #batch: RecordCursor[];
  readonly #checked: Checked = {
    isCarryDone: false,
    count: 0,
    to: 0,
    isFull: false,
    problem: undefined,
  };
  readonly #carried: RecordCursor;
  #carry = Buffer.alloc(CARRY_BYTES_FIRST);
  #carryLength = 0;
  /** Inside an end marker: bytes up to the end of the file that carry nothing. */
  #skip = 0;
  #isAhead = false;
  /** What the checker found; until the link comes back to the validated end. */
  #fault: DrError | undefined;
  /** End of what was ever written behind the validated end. */
  #touched = 0;
  /** Validated end when the waiters heard of progress last. */
  #told = -1;
  #windowFromMs = 0;
  #windowBytes = 0;

  constructor(parts: ExactParts) {
    this.#files = parts.files;
    this.#state = parts.state;
    const cursor = () => new RecordCursor(parts.files.comparesRecordCrc);
    this.#batch = Array.from({ length: BATCH_RECORDS }, cursor);
    this.#carried = cursor();
    this.#layer = parts.layer;
    this.#ring = parts.ring;
    this.#dispatcher = parts.dispatcher;
    this.#allowUnchecked = parts.allowUnchecked;
    this.#checker = new LogChecker(
      { ...parts.checker, state: parts.state, dispatcher: parts.dispatcher },
      { onChecked: () => this.#onChecked(), onFault: (reason) => this.#onFault(reason) },
    );
  }

  /** Bytes that were taken and wait to be checked; a record that is not whole yet waits for nobody. */
  get uncheckedBytes(): number {
    return this.#isChecking ? this.#state.end - this.#state.dispatched : 0;
  }

  /** Whether a thread stands by for bulk; it is started by the first bulk bytes. */
  get hasThread(): boolean {
    return this.#checker.isReady;
  }

  /**
   * @throws DrError CORRUPT (also what was found since the last call), DISK_FULL; the end is the
   * validated end then, or without room for bulk bytes the end before the call
   */
  append(offset: number, bytes: Buffer): void {
    if (this.#fault !== undefined && offset !== this.#state.dispatched) throw this.#fault;
    this.#place(offset);
    this.#fault = undefined;
    if (this.#isAhead || this.#goAhead(bytes.length)) this.#appendAhead(bytes);
    else this.#appendChecked(bytes);
  }

  /** Resolves when all that was taken is checked and dispatched, or found damaged. */
  settled(): Promise<void> {
    return this.#isChecking ? this.#waiters.settled() : Promise.resolve();
  }

  /**
   * Resolves when more was checked, at once when nothing waits for it.
   * @throws DrError CORRUPT when damage was found that the link has not come back for
   */
  checkedMore(): Promise<void> {
    if (this.#fault !== undefined) return Promise.reject(this.#fault);
    return this.#isChecking ? this.#waiters.more() : Promise.resolve();
  }

  /** Gives up what is not checked. */
  rewind(): void {
    const state = this.#state;
    // Order: the checker leaves the files before they are cut.
    this.#checker.halt();
    this.#isAhead = false;
    this.#fault = undefined;
    this.#carryLength = 0;
    this.#skip = 0;
    state.end = state.dispatched;
    state.written = state.dispatched;
    state.durable = state.dispatched;
    state.flushed = Math.min(state.flushed, state.dispatched);
    this.#ring.reset(state.end);
    if (this.#touched > state.dispatched) this.#files.cut(state.dispatched);
    this.#touched = state.dispatched;
    this.#waiters.release(true);
  }

  /** Waits for what is being checked, gives up what is not whole, ends the thread. */
  async close(): Promise<void> {
    await this.settled();
    await this.leave();
  }

  /** The log is no copy any more: local records follow the validated end. */
  leave(): Promise<void> {
    this.rewind();
    return this.#checker.close();
  }

  get #isChecking(): boolean {
    return this.#isAhead && !this.#checker.isIdle;
  }

  #appendChecked(bytes: Buffer): void {
    try {
      for (let at = 0; at < bytes.length; ) {
        const fileEnd = at + this.#files.leftAt(this.#state.end);
        at = this.#appendPiece(bytes, at, fileEnd);
      }
    } catch (reason) {
      this.rewind();
      if (isDiskFull(reason)) throw DrError.from(reason);
      throw reason;
    }
  }

  /**
   * Changes over when bytes come in bulk and there is a thread.
   * Why not when it is up: it takes a tenth of a second and more to start, in which the link brings a hundred
   * megabytes; to check those here would keep it from starting, too.
   */
  #goAhead(length: number): boolean {
    const nowMs = performance.now();
    if (nowMs - this.#windowFromMs > BULK_WINDOW_MS) {
      this.#windowFromMs = nowMs;
      this.#windowBytes = 0;
    }
    this.#windowBytes += length;
    if (this.#windowBytes < BULK_BYTES) return false;
    if (!this.#checker.warm()) return false;
    const { dispatched, end } = this.#state;
    this.#allowUnchecked(dispatched);
    this.#isAhead = true;
    this.#carryLength = 0;
    this.#skip = 0;
    // What was checked in small pieces is no progress of the bulk.
    this.#told = dispatched;
    this.#checker.begin(dispatched, end);
    return true;
  }

  #appendAhead(bytes: Buffer): void {
    const state = this.#state;
    const start = state.end;
    try {
      for (let at = 0; at < bytes.length; ) {
        const to = Math.min(bytes.length, at + this.#files.leftAt(state.end));
        this.#write(bytes, at, to);
        at = to;
      }
    } catch (reason) {
      state.end = start;
      state.written = start;
      state.durable = start;
      if (isDiskFull(reason)) throw DrError.from(reason);
      throw reason;
    }
    this.#checker.extend(state.end);
  }

  #onChecked(): void {
    const isIdle = this.#checker.isIdle;
    const { dispatched, end } = this.#state;
    // At a record's end with nothing on its way: small traffic is checked at once again.
    if (isIdle && dispatched === end) this.#isAhead = false;
    if (!isIdle && dispatched === this.#told) return;
    this.#told = dispatched;
    this.#waiters.release(isIdle);
  }

  #onFault(reason: DrError): void {
    // Order: who waits for progress hears of the damage before the cut resolves the rest.
    this.#waiters.fail(reason);
    this.rewind();
    this.#fault = reason;
  }

  /** The offset must continue the log; an empty log may begin at the start of any file. */
  #place(offset: number): void {
    const state = this.#state;
    if (offset === state.end) return;
    if (offset === state.dispatched) {
      this.rewind();
      return;
    }
    const isEmpty = state.dispatched === this.#files.minOffset;
    if (!isEmpty || offset % this.#files.fileSize !== 0) {
      throw new DrError('CORRUPT', `link bytes at ${offset} do not continue ${state.end}`, {
        context: { offset, end: state.end, validatedEnd: state.dispatched },
      });
    }
    this.rewind();
    while (!this.#files.isEmpty) this.#files.removeFirst();
    state.resetTo(offset);
    this.#ring.reset(offset);
    this.#touched = offset;
  }

  /**
   * Takes the bytes from `from` to the end of the log file, or one batch of records of them.
   * @returns the place behind what was taken
   */
  #appendPiece(bytes: Buffer, from: number, fileEnd: number): number {
    const to = Math.min(bytes.length, fileEnd);
    const checked = this.#check(bytes, { from, to, fileEnd });
    const isShort = checked.isFull || checked.problem !== undefined;
    const writeTo = isShort ? checked.to : to;
    if (writeTo > from) this.#write(bytes, from, writeTo);
    this.#dispatch(bytes, checked);
    if (checked.problem !== undefined) {
      throw this.#damaged(this.#state.dispatched, checked.problem);
    }
    if (this.#skip === 0) this.#keep(bytes, checked.to, writeTo);
    else this.#passBlank();
    return writeTo;
  }

  #write(bytes: Buffer, from: number, to: number): void {
    const state = this.#state;
    const file = this.#files.ensure(state.end);
    // Why before: a write that fails may have put some of it there.
    this.#touched = Math.max(this.#touched, state.end + to - from);
    const position = state.end - file.start;
    writeFully(this.#layer, file.fd, bytes, { start: from, length: to - from, position });
    state.end += to - from;
    state.written = state.end;
    state.durable = state.end;
    this.#ring.reset(state.end);
  }

  /** Places are those of the piece; `fileEnd` is where its log file ends. */
  #check(bytes: Buffer, piece: { from: number; to: number; fileEnd: number }): Checked {
    const { from, to, fileEnd } = piece;
    const checked = this.#checked;
    checked.isCarryDone = false;
    checked.isFull = false;
    checked.problem = undefined;
    checked.count = 0;
    checked.to = this.#skip > 0 ? to : this.#topUp(bytes, from, to);
    if (checked.problem !== undefined || this.#skip > 0) return checked;
    const base = this.#state.end - from;
    let at = checked.to;
    while (at < to) {
      if (checked.count === BATCH_RECORDS) {
        checked.isFull = true;
        break;
      }
      const cursor = this.#batch[checked.count]!;
      const kind = cursor.read(bytes, at, to, fileEnd - at);
      if (kind === 'partial') break;
      if (kind === 'blank') {
        this.#skip = fileEnd - at;
        break;
      }
      checked.problem = kind === 'record' ? problemOf(bytes, cursor, base + at) : NO_RECORD;
      if (checked.problem !== undefined) break;
      checked.count++;
      at += cursor.size;
    }
    checked.to = at;
    return checked;
  }

  /** Completes the carried record from the piece. @returns where the next record begins */
  #topUp(bytes: Buffer, from: number, to: number): number {
    if (this.#carryLength === 0) return from;
    const start = this.#state.end - this.#carryLength;
    const left = this.#files.leftAt(start);
    let at = this.#fill(bytes, from, to, HEAD_BYTES);
    const cursor = this.#carried;
    let kind = cursor.read(this.#carry, 0, this.#carryLength, left);
    if (kind === 'partial' && this.#carryLength >= HEAD_BYTES) {
      at = this.#fill(bytes, at, to, cursor.size);
      kind = cursor.read(this.#carry, 0, this.#carryLength, left);
    }
    if (kind === 'partial') {
      if (cursor.size <= RECORD_BYTES_MAX) return to;
      this.#checked.problem = NO_RECORD;
      return from;
    }
    if (kind === 'blank') {
      this.#skip = left;
      return to;
    }
    this.#checked.problem = kind === 'record' ? problemOf(this.#carry, cursor, start) : NO_RECORD;
    if (this.#checked.problem !== undefined) return from;
    this.#checked.isCarryDone = true;
    return at;
  }

  /** Moves bytes into the carry until it holds `wanted`. */
  #fill(bytes: Buffer, from: number, to: number, wanted: number): number {
    const take = Math.min(to - from, wanted - this.#carryLength);
    if (take <= 0) return from;
    this.#grow(this.#carryLength + take);
    bytes.copy(this.#carry, this.#carryLength, from, from + take);
    this.#carryLength += take;
    return from + take;
  }

  #dispatch(bytes: Buffer, checked: Checked): void {
    if (checked.isCarryDone) {
      this.#dispatcher.dispatch(this.#carry, this.#carried);
      this.#carryLength = 0;
    }
    for (let i = 0; i < checked.count; i++) this.#dispatcher.dispatch(bytes, this.#batch[i]!);
  }

  /** Keeps the beginning of a record that the piece cut. */
  #keep(bytes: Buffer, from: number, to: number): void {
    if (from >= to) return;
    this.#grow(to - from);
    bytes.copy(this.#carry, 0, from, to);
    this.#carryLength = to - from;
  }

  /** The end marker is passed when the last byte of its file is here. */
  #passBlank(): void {
    this.#carryLength = 0;
    const state = this.#state;
    const fileEnd = state.dispatched + this.#skip;
    if (state.end < fileEnd) return;
    state.dispatched = fileEnd;
    this.#skip = 0;
  }

  #grow(needed: number): void {
    if (needed <= this.#carry.length) return;
    const grown = Buffer.alloc(Math.max(needed, this.#carry.length * 2));
    this.#carry.copy(grown, 0, 0, this.#carryLength);
    this.#carry = grown;
  }

  #damaged(offset: number, why: string): DrError {
    return new DrError('CORRUPT', `damaged record in the link's bytes at ${offset}: ${why}`, {
      context: { offset, file: this.#files.nameOf(offset) },
    });
  }
}

/** What is wrong with the record that must stand at `offset` of the log. */
function problemOf(bytes: Buffer, cursor: RecordCursor, offset: number): string | undefined {
  const damage = cursor.damageAt(bytes, offset);
  return damage === 0 ? undefined : DAMAGE[damage];
}
