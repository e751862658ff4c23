// Reads the log: from the ring when it still holds the bytes, from the files otherwise.
// Records from memory are trusted; records from a file are checked (structure, position, body CRC)
// before anybody sees them. A damaged one is an error that names file and offset, never served.
// Views of the ring are valid until the next tick only; everything else is a buffer of the caller.
import { DrError } from '../../base/index.ts';
import type { LogFiles } from '../log/log-files.ts';
import type { LogState } from '../log/log-state.ts';
import { DAMAGE, int32At, RecordCursor } from '../log/record-bytes.ts';
import type { Ring } from '../log/ring.ts';

/** Bytes from a record's start that surely hold its store timestamp. */
const HEAD_BYTES = 76;

export class LogView {
  readonly #ring: Ring;
  readonly #files: LogFiles;
  readonly #state: LogState;
  readonly #cursor: RecordCursor;
  readonly #head = Buffer.alloc(HEAD_BYTES);

  constructor(parts: { ring: Ring; files: LogFiles; state: LogState }) {
    this.#ring = parts.ring;
    this.#files = parts.files;
    this.#state = parts.state;
    this.#cursor = new RecordCursor(parts.files.comparesRecordCrc);
  }

  get minOffset(): number {
    return this.#files.minOffset;
  }

  isInRing(offset: number): boolean {
    return offset >= this.#ring.low(this.#state.end) && offset < this.#state.end;
  }

  /** Views of [from, to), which must lie in the ring. */
  pushRingViews(from: number, to: number, into: Buffer[]): void {
    this.#ring.pushViews(from, to, into);
  }

  /**
   * Bytes [from, to) of one file, read now.
   * @param into  where to, exactly as large, when the caller keeps a buffer
   */
  readRange(from: number, to: number, into: Buffer = Buffer.allocUnsafe(to - from)): Buffer {
    const count = this.#files.readSync(from, into);
    return count === into.length ? into : into.subarray(0, count);
  }

  /**
   * One whole record at `offset`, a copy.
   * @throws DrError NOT_FOUND outside the log, CORRUPT
   */
  record(offset: number): Buffer {
    this.#checkBounds(offset);
    const size = this.#sizeAt(offset);
    const bytes = this.isInRing(offset)
      ? this.#ring.copy(offset, offset + size)
      : this.readRange(offset, offset + size);
    this.checkRecord(bytes, 0, offset);
    return bytes;
  }

  /**
   * Checks the record at bytes[at], which must be whole.
   * @returns its size @throws DrError CORRUPT with file and offset
   */
  checkRecord(bytes: Buffer, at: number, offset: number): number {
    const cursor = this.#cursor;
    const kind = cursor.read(bytes, at, bytes.length, this.#files.leftAt(offset));
    if (kind !== 'record') throw this.corrupt(offset, 'no whole record');
    const damage = cursor.damageAt(bytes, offset);
    if (damage !== 0) throw this.corrupt(offset, DAMAGE[damage] ?? DAMAGE[0]);
    return cursor.size;
  }

  /** Store time of the record at `offset`, read from its head only. */
  storeTimeAt(offset: number): number {
    this.#checkBounds(offset);
    const head = this.#readHead(offset);
    const bornBytes = int32At(head, 36) & 0x10 ? 20 : 8;
    return head.readUIntBE(48 + bornBytes + 2, 6);
  }

  /**
   * Raw log bytes from `offset`, inside one file, up to what was dispatched.
   * @param into  where to, when the caller keeps a buffer; else a fresh one is made
   * @returns a view of `into`, or the fresh buffer; undefined at the end
   */
  async raw(offset: number, bytesMax: number, into?: Buffer): Promise<Buffer | undefined> {
    const { dispatched } = this.#state;
    if (offset >= dispatched) return undefined;
    if (offset < this.#files.minOffset) this.#checkBounds(offset);
    const wanted = Math.min(bytesMax, into?.length ?? bytesMax);
    const length = Math.min(wanted, dispatched - offset, this.#files.leftAt(offset));
    if (!this.isInRing(offset)) return await this.#files.read(offset, length, into);
    if (into === undefined) return this.#ring.copy(offset, offset + length);
    const views: Buffer[] = [];
    this.#ring.pushViews(offset, offset + length, views);
    let at = 0;
    for (const view of views) at += view.copy(into, at);
    return into.subarray(0, at);
  }

  corrupt(offset: number, why: string): DrError {
    const file = this.#files.find(offset)?.path ?? this.#files.folder;
    return new DrError('CORRUPT', `${file}: damaged record at offset ${offset}: ${why}`, {
      hint: 'the file is kept as it is; repair it from a replica or a backup',
      context: { file, offset },
    });
  }

  #sizeAt(offset: number): number {
    const size = int32At(this.#readHead(offset), 0);
    const left = Math.min(this.#files.leftAt(offset), this.#state.dispatched - offset);
    if (size < HEAD_BYTES || size > left) throw this.corrupt(offset, `impossible size ${size}`);
    return size;
  }

  #readHead(offset: number): Buffer {
    if (this.isInRing(offset)) {
      const at = this.#ring.at(offset);
      return this.#ring.bytes.subarray(at, at + HEAD_BYTES);
    }
    this.#head.fill(0);
    this.#files.readSync(offset, this.#head);
    return this.#head;
  }

  #checkBounds(offset: number): void {
    const min = this.#files.minOffset;
    if (Number.isInteger(offset) && offset >= min && offset < this.#state.dispatched) return;
    throw new DrError('NOT_FOUND', `offset ${offset} is not in the log`, {
      context: { offset, minOffset: min, maxOffset: this.#state.dispatched },
    });
  }
}
