// The timer log: a chain of entries per slot of the wheel, in files of fixed size named by their first
// position, as Apache's `timerlog/`. Append only; a position is what the wheel remembers.
// Entries are gathered in memory and written before anyone reads them; durable only after sync().
// Invariant: [0, end) holds whole entries and blanks; what stands behind `end` is overwritten.
// Source: RocketMQ TimerLog (5.5.0), layout only.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DrError } from '../../../base/index.ts';
import {
  BLANK_BYTES,
  BLANK_MAGIC,
  decodeUnit,
  encodeUnit,
  type TimerUnit,
  UNIT_BYTES,
} from './timer-unit.ts';

const GATHER_BYTES = UNIT_BYTES * 1_024;
const WINDOW_BYTES = 64 * 1_024;

interface LogFile {
  readonly start: number;
  readonly path: string;
  readonly fd: number;
  isDirty: boolean;
}

export class TimerLog {
  readonly #folder: string;
  readonly #fileBytes: number;
  #files: LogFile[] = [];
  #end = 0;
  /** Entries not yet written; they stand at [end - #gathered, end). */
  readonly #gather = Buffer.alloc(GATHER_BYTES);
  #gathered = 0;
  /** A piece of a file read last: [#windowStart, #windowStart + #windowLength). */
  readonly #window = Buffer.alloc(WINDOW_BYTES + UNIT_BYTES);
  #windowStart = -1;
  #windowLength = 0;

  constructor(folder: string, fileBytes: number) {
    this.#folder = folder;
    this.#fileBytes = fileBytes;
  }

  /** Position behind the last entry. */
  get end(): number {
    return this.#end;
  }

  /**
   * Opens the files that are there.
   * @throws DrError CORRUPT when they do not follow each other or have another size
   */
  load(): void {
    if (!fs.existsSync(this.#folder)) return;
    const names = fs.readdirSync(this.#folder).filter((name) => /^\d{20}$/.test(name));
    for (const name of names.sort()) {
      const file = path.join(this.#folder, name);
      const start = Number(name);
      const before = this.#files.at(-1);
      const isNext = before === undefined || before.start + this.#fileBytes === start;
      if (!isNext || fs.statSync(file).size !== this.#fileBytes || start % this.#fileBytes !== 0) {
        throw new DrError('CORRUPT', `${file} does not fit into the timer log`);
      }
      this.#files.push({ start, path: file, fd: fs.openSync(file, 'r+'), isDirty: false });
    }
    this.#end = this.#files[0]?.start ?? 0;
  }

  get start(): number {
    return this.#files[0]?.start ?? 0;
  }

  /** True when the byte at a position stands in one of the files. */
  covers(position: number): boolean {
    return position >= this.start && position < this.start + this.#files.length * this.#fileBytes;
  }

  /** Entries up to `end` are kept, the next one is written there. */
  continueAt(end: number): void {
    this.#end = end;
    this.#windowStart = -1;
  }

  /** @returns position of the entry */
  append(unit: TimerUnit): number {
    if (this.#gathered + UNIT_BYTES > GATHER_BYTES) this.#write();
    const left = this.#fileBytes - (this.#end % this.#fileBytes);
    if (UNIT_BYTES + BLANK_BYTES > left) this.#closeFile(left);
    encodeUnit(this.#gather, this.#gathered, unit);
    this.#gathered += UNIT_BYTES;
    const at = this.#end;
    this.#end += UNIT_BYTES;
    return at;
  }

  /**
   * The entry at a position.
   * @returns 'blank' where a file ends, undefined when there is no entry
   */
  read(position: number): TimerUnit | 'blank' | undefined {
    this.#write();
    if (position < this.start) return undefined;
    const inFile = position % this.#fileBytes;
    const from = position - (inFile % WINDOW_BYTES);
    if (from !== this.#windowStart && !this.#fill(from)) return undefined;
    const at = position - from;
    return at + BLANK_BYTES > this.#windowLength ? undefined : decodeUnit(this.#window, at);
  }

  /** Where reading goes on behind an entry or a blank. */
  after(position: number, isBlank: boolean): number {
    if (!isBlank) return position + UNIT_BYTES;
    return position - (position % this.#fileBytes) + this.#fileBytes;
  }

  /** Everything appended so far is durable when it resolves. */
  async sync(): Promise<void> {
    this.#write();
    for (const file of this.#files.filter((one) => one.isDirty)) {
      file.isDirty = false;
      await new Promise<void>((resolve, reject) => {
        fs.fdatasync(file.fd, (reason) => (reason ? reject(DrError.from(reason)) : resolve()));
      });
    }
  }

  /** Removes files whose last entry names a record that retention has deleted; never the last file. */
  trim(logMinOffset: number): void {
    const lastUnit = this.#fileBytes - BLANK_BYTES - UNIT_BYTES;
    const inFile = lastUnit - ((this.#fileBytes - BLANK_BYTES) % UNIT_BYTES);
    while (this.#files.length > 1) {
      const oldest = this.#files[0] as LogFile;
      const unit = this.read(oldest.start + inFile);
      if (typeof unit !== 'object' || unit.physicalOffset >= logMinOffset) return;
      this.#files.shift();
      this.#remove(oldest);
    }
  }

  /** Drops everything; the next entry stands at 0 again. */
  reset(): void {
    for (const file of this.#files) fs.closeSync(file.fd);
    this.#files = [];
    fs.rmSync(this.#folder, { recursive: true, force: true });
    this.#gathered = 0;
    this.continueAt(0);
  }

  /** What was not written is read from the timer queue again. */
  close(): void {
    for (const file of this.#files) fs.closeSync(file.fd);
    this.#files = [];
  }

  #fill(from: number): boolean {
    const file = this.#files.findLast((one) => one.start <= from);
    if (file === undefined || from >= file.start + this.#fileBytes) return false;
    this.#window.fill(0);
    this.#windowStart = from;
    const inFile = from - file.start;
    this.#windowLength = fs.readSync(file.fd, this.#window, 0, this.#window.length, inFile);
    return true;
  }

  #write(): void {
    if (this.#gathered === 0) return;
    const at = this.#end - this.#gathered;
    const file = this.#fileFor(at);
    fs.writeSync(file.fd, this.#gather, 0, this.#gathered, at - file.start);
    file.isDirty = true;
    this.#gathered = 0;
    this.#windowStart = -1;
  }

  #closeFile(left: number): void {
    this.#write();
    const blank = Buffer.alloc(BLANK_BYTES);
    blank.writeInt32BE(left, 0);
    blank.writeInt32BE(BLANK_MAGIC, 12);
    const file = this.#fileFor(this.#end - 1);
    fs.writeSync(file.fd, blank, 0, BLANK_BYTES, this.#end - file.start);
    file.isDirty = true;
    this.#end += left;
  }

  #fileFor(position: number): LogFile {
    const start = position - (position % this.#fileBytes);
    const known = this.#files.findLast((file) => file.start === start);
    if (known) return known;
    fs.mkdirSync(this.#folder, { recursive: true });
    const name = path.join(this.#folder, String(start).padStart(20, '0'));
    const fd = fs.openSync(name, 'w+');
    fs.ftruncateSync(fd, this.#fileBytes);
    const file = { start, path: name, fd, isDirty: true };
    this.#files.push(file);
    return file;
  }

  #remove(file: LogFile): void {
    fs.closeSync(file.fd);
    fs.rmSync(file.path, { force: true });
  }
}
