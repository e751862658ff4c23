// The link's way into the log: bytes of another log at exactly their offset, written as they come.
// Order for each piece: check every whole record in memory → write → dispatch. So nothing that is
// damaged reaches the disk, and nothing that is not on its way to the disk becomes readable.
// A record is parsed once: the cursors of the check are kept and dispatched after the write, a batch of
// records at a time.
// A record cut by the end of a piece waits in `carry` for its rest; its bytes are already written.
// Invariant: after any error the end is the validated end again, and the link goes on from there.
// Source: ours; the HA stream may split records anywhere (ha.md).
import { DrError } from '../../base/index.ts';
import type { Dispatcher } from '../queue/dispatcher.ts';
import { type FileLayer, isDiskFull, writeFully } from './file-layer.ts';
import type { LogFiles } from './log-files.ts';
import type { LogState } from './log-state.ts';
import { RecordCursor } from './record-bytes.ts';
import type { Ring } from './ring.ts';

const CARRY_BYTES_FIRST = 64 * 1024;
const HEAD_BYTES = 8;
const BATCH_RECORDS = 1024;
const NO_RECORD = 'no valid record';

export interface ExactParts {
  files: LogFiles;
  state: LogState;
  layer: FileLayer;
  ring: Ring;
  dispatcher: Dispatcher;
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
  readonly #batch = Array.from({ length: BATCH_RECORDS }, () => new RecordCursor());
  readonly #checked: Checked = {
    isCarryDone: false,
    count: 0,
    to: 0,
    isFull: false,
    problem: undefined,
  };
  readonly #carried = new RecordCursor();
  #carry = Buffer.alloc(CARRY_BYTES_FIRST);
  #carryLength = 0;
  /** Inside an end marker: bytes up to the end of the file that carry nothing. */
  #skip = 0;

  constructor(parts: ExactParts) {
    this.#files = parts.files;
    this.#state = parts.state;
    this.#layer = parts.layer;
    this.#ring = parts.ring;
    this.#dispatcher = parts.dispatcher;
  }

  /** @throws DrError CORRUPT, DISK_FULL; the end is the validated end then */
  append(offset: number, bytes: Buffer): void {
    this.#place(offset);
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

  /** Gives up a partial record at the end. */
  rewind(): void {
    const state = this.#state;
    this.#carryLength = 0;
    this.#skip = 0;
    state.end = state.dispatched;
    state.written = state.dispatched;
    state.durable = state.dispatched;
    state.flushed = Math.min(state.flushed, state.dispatched);
    this.#ring.reset(state.end);
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
    while (!this.#files.isEmpty) this.#files.removeFirst();
    state.resetTo(offset);
    this.rewind();
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
    if (kind === 'partial') return to;
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
      context: { offset },
    });
  }
}

/** What is wrong with the record that must stand at `offset` of the log. */
function problemOf(bytes: Buffer, cursor: RecordCursor, offset: number): string | undefined {
  if (cursor.physicalOffset !== offset) return 'another position inside';
  return cursor.bodyMatches(bytes) ? undefined : 'body CRC differs';
}
