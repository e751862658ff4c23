// The link's way into the log: bytes of another log at exactly their offset, written as they come.
// Order for each piece: check every whole record in memory → write → dispatch. So nothing that is
// damaged reaches the disk, and nothing that is not on its way to the disk becomes readable.
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
  /** Records to dispatch lie in [from, to) of the piece. */
  from: number;
  to: number;
  /** Why the record at `to` is refused. */
  problem: string | undefined;
}

export class ExactAppender {
  readonly #files: LogFiles;
  readonly #state: LogState;
  readonly #layer: FileLayer;
  readonly #ring: Ring;
  readonly #dispatcher: Dispatcher;
  readonly #cursor = new RecordCursor();
  readonly #checked: Checked = { isCarryDone: false, from: 0, to: 0, problem: undefined };
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
        const to = Math.min(bytes.length, at + this.#files.leftAt(this.#state.end));
        this.#appendPiece(bytes, at, to);
        at = to;
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

  #appendPiece(bytes: Buffer, from: number, to: number): void {
    const state = this.#state;
    const base = state.end - from;
    const checked = this.#check(bytes, from, to);
    const writeTo = checked.problem === undefined ? to : checked.to;
    if (writeTo > from) {
      const file = this.#files.ensure(state.end);
      const position = state.end - file.start;
      writeFully(this.#layer, file.fd, bytes, { start: from, length: writeTo - from, position });
      state.end = base + writeTo;
      state.written = state.end;
      state.durable = state.end;
      this.#ring.reset(state.end);
    }
    this.#dispatch(bytes, checked, base);
    if (checked.problem !== undefined) throw this.#damaged(state.dispatched, checked.problem);
    if (this.#skip === 0) this.#keep(bytes, checked.to, to);
    else this.#passBlank();
  }

  #check(bytes: Buffer, from: number, to: number): Checked {
    const checked = this.#checked;
    checked.isCarryDone = false;
    checked.problem = undefined;
    const isInBlank = this.#skip > 0;
    checked.from = isInBlank ? to : this.#topUp(bytes, from, to);
    checked.to = checked.from;
    if (checked.problem !== undefined || this.#skip > 0) return checked;
    const base = this.#state.end - from;
    let at = checked.from;
    while (at < to) {
      const left = this.#files.leftAt(base + at);
      const kind = this.#cursor.read(bytes, at, to, left);
      if (kind === 'partial') break;
      if (kind === 'blank') {
        this.#skip = left;
        break;
      }
      checked.problem = this.#problemOf(bytes, kind, base + at);
      if (checked.problem !== undefined) break;
      at += this.#cursor.size;
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
    let kind = this.#cursor.read(this.#carry, 0, this.#carryLength, left);
    if (kind === 'partial' && this.#carryLength >= HEAD_BYTES) {
      at = this.#fill(bytes, at, to, this.#cursor.size);
      kind = this.#cursor.read(this.#carry, 0, this.#carryLength, left);
    }
    if (kind === 'partial') return to;
    if (kind === 'blank') {
      this.#skip = left;
      return to;
    }
    this.#checked.problem = this.#problemOf(this.#carry, kind, start);
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

  #problemOf(bytes: Buffer, kind: string, offset: number): string | undefined {
    if (kind !== 'record') return 'no valid record';
    if (this.#cursor.physicalOffset !== offset) return 'another position inside';
    return this.#cursor.bodyMatches(bytes) ? undefined : 'body CRC differs';
  }

  #dispatch(bytes: Buffer, checked: Checked, base: number): void {
    if (checked.isCarryDone) {
      const start = this.#state.dispatched;
      this.#cursor.read(this.#carry, 0, this.#carryLength, this.#files.leftAt(start));
      this.#dispatcher.dispatch(this.#carry, this.#cursor);
      this.#carryLength = 0;
    }
    for (let at = checked.from; at < checked.to; at += this.#cursor.size) {
      this.#cursor.read(bytes, at, checked.to, this.#files.leftAt(base + at));
      this.#dispatcher.dispatch(bytes, this.#cursor);
    }
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
