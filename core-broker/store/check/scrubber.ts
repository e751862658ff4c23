// Reads old log files again, slowly, and checks every record, so that a damaged one is found before
// somebody needs it: while a replica or a backup still has it. What it finds stands in the log, in a
// metric and in the store's problems, with file and offset.
// The file that is being written is left out: its records are in the page cache and were just checked.
// Invariant: never faster than the given rate, and not at all while writes wait for the disk or the loop
// is late; nothing is changed. Each pass forgets what a repair has mended.
import { createLog, gauge } from '../../base/index.ts';
import type { LogFiles } from '../log/log-files.ts';
import type { LogState } from '../log/log-state.ts';
import { DAMAGE, RecordCursor } from '../log/record-bytes.ts';

const BEAT_MS = 200;
const PIECE_BYTES = 256 * 1024;
/** A beat this late says that the loop has better things to do. */
const LATE_MS = 20;
const BUSY_BYTES = 1024 * 1024;
const log = createLog('store');
const running = new Set<LogState>();

gauge({
  name: 'dr_broker_store_damaged_records',
  help: 'damaged records that the scrubber found in old log files and nobody has repaired',
  collect: (self) => self.set([...running].reduce((sum, state) => sum + state.damage.length, 0)),
});

export interface ScrubberParts {
  files: LogFiles;
  state: LogState;
}

export class Scrubber {
  readonly #files: LogFiles;
  readonly #state: LogState;
  readonly #bytesPerSecond: number;
  readonly #cursor: RecordCursor;
  #piece = Buffer.alloc(0);
  #timer: NodeJS.Timeout | undefined;
  #step: Promise<number> | undefined;
  #dueMs = 0;
  /** Bytes that may be read now. */
  #budget = 0;
  /** Start of the next record to check, -1 = a pass has not begun. */
  #position = -1;
  #cuts = 0;
  #found: LogState['damage'] = [];

  constructor(parts: ScrubberParts, bytesPerSecond: number) {
    this.#files = parts.files;
    this.#state = parts.state;
    this.#cursor = new RecordCursor(parts.files.comparesRecordCrc);
    this.#bytesPerSecond = bytesPerSecond;
  }

  start(): void {
    running.add(this.#state);
    if (this.#bytesPerSecond === 0) return;
    // Why anywhere: a broker that is restarted often must not check the first files only.
    const { all } = this.#files;
    this.#position = all[Math.floor(Math.random() * all.length)]?.start ?? -1;
    this.#dueMs = performance.now() + BEAT_MS;
    this.#timer = setInterval(() => this.#beat(), BEAT_MS).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    running.delete(this.#state);
    await this.#step;
  }

  /** Checks at most one piece. @returns bytes read; 0 = a pass has ended, or there is no old file */
  async step(): Promise<number> {
    const offset = this.#place();
    if (offset < 0) return 0;
    const { cuts } = this.#state;
    const room = Math.min(this.#piece.length, this.#files.leftAt(offset));
    const bytes = await this.#files.read(offset, room, this.#piece).catch(() => undefined);
    // Retention or a cut was faster, or the disk cannot read it: the next pass says so again.
    if (bytes === undefined || cuts !== this.#state.cuts) {
      if (bytes === undefined && this.#files.find(offset)) this.#note(offset, 'it cannot be read');
      this.#position = this.#files.startOf(offset) + this.#files.fileSize;
      return room;
    }
    this.#check(bytes.subarray(0, room), offset);
    return room;
  }

  #beat(): void {
    const nowMs = performance.now();
    const isLate = nowMs - this.#dueMs > LATE_MS;
    this.#dueMs = nowMs + BEAT_MS;
    const isBusy = this.#state.end - this.#state.written > BUSY_BYTES;
    if (isLate || isBusy || this.#step !== undefined) return;
    this.#budget += (this.#bytesPerSecond * BEAT_MS) / 1000;
    if (this.#budget <= 0) return;
    this.#step = this.step().finally(() => {
      this.#step = undefined;
    });
    // step() answers every failure of the disk itself.
    void this.#step.then((bytes) => {
      this.#budget = Math.min(this.#budget, PIECE_BYTES) - bytes;
    });
  }

  /** Where to go on; begins a new pass when the last one is done. @returns -1 without old files */
  #place(): number {
    const { last, minOffset } = this.#files;
    if (this.#piece.length === 0) this.#piece = Buffer.allocUnsafeSlow(PIECE_BYTES);
    if (last === undefined || last.start === minOffset) return -1;
    const wasCut = this.#cuts !== this.#state.cuts;
    this.#cuts = this.#state.cuts;
    if (this.#position < 0 || wasCut) this.#position = minOffset;
    // Retention took the file: the next one begins with a record.
    if (this.#position < minOffset) this.#position = minOffset;
    if (this.#position < last.start) return this.#position;
    this.#state.damage = this.#found;
    this.#found = [];
    this.#position = minOffset;
    return -1;
  }

  #check(bytes: Buffer, offset: number): void {
    const cursor = this.#cursor;
    const fileEnd = this.#files.startOf(offset) + this.#files.fileSize;
    let at = 0;
    while (at < bytes.length) {
      const kind = cursor.read(bytes, at, bytes.length, fileEnd - offset - at);
      if (kind === 'partial' && at > 0) break;
      if (kind === 'partial' && cursor.size > bytes.length && offset + bytes.length < fileEnd) {
        this.#piece = Buffer.allocUnsafeSlow(cursor.size);
        break;
      }
      const damage = kind === 'record' ? cursor.damageAt(bytes, offset + at) : 0;
      if (kind === 'blank' || kind === 'bad' || kind === 'partial' || damage > 0) {
        if (kind !== 'blank') this.#note(offset + at, DAMAGE[damage] ?? DAMAGE[0]);
        this.#position = fileEnd;
        return;
      }
      at += cursor.size;
    }
    this.#position = offset + at;
  }

  /** The rest of a damaged file is not looked at: nobody knows where its next record begins. */
  #note(offset: number, why: string): void {
    const file = this.#files.find(offset)?.path ?? this.#files.folder;
    this.#found.push({ file, offset });
    const { damage } = this.#state;
    if (damage.some((known) => known.file === file && known.offset === offset)) return;
    damage.push({ file, offset });
    log.error('store.damage_found', 'a damaged record; repair it from a replica or a backup', {
      file,
      offset,
      why,
    });
  }
}
