// The index of a store: files in order of time, the last one written. Files are created when the first
// key arrives and sparse, so a store without keys has none.
// Invariant: entries are in log order over all files, those of one record in the order of its keys; so
// the newest record and how many entries it has say what is missing, also after a put failed half way.
// Source: RocketMQ IndexService, behaviour only.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createLog } from '../../base/index.ts';
import { indexFileName, indexFileSize } from '../layout.ts';
import { type IndexEntry, IndexFile, type IndexShape } from './index-file.ts';

const SLOTS_EVERY_MS = 30_000;
const log = createLog('store');
const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class IndexService {
  readonly #folder: string;
  readonly #shape: IndexShape;
  #files: IndexFile[] = [];
  /** The newest record that has an entry, -1 = none; and how many it has. */
  #newest = -1;
  #newestKeys = 0;
  #slotsWrittenMs = Date.now();
  /** End timestamp of the last file when its slots were last complete on disk. */
  #safeTimestampMs = 0;

  constructor(folder: string, shape: IndexShape) {
    this.#folder = folder;
    this.#shape = shape;
  }

  /** Opens what is there; a file that is not an index of this shape is left alone and not used. */
  load(): void {
    if (!fs.existsSync(this.#folder)) return;
    const names = fs.readdirSync(this.#folder).filter((name) => /^\d{17}$/.test(name));
    const size = indexFileSize(this.#shape.slots, this.#shape.entries);
    for (const name of names.sort()) {
      const file = path.join(this.#folder, name);
      if (fs.statSync(file).size === size) this.#files.push(new IndexFile(file, this.#shape));
      else log.warn('store.index_ignored', 'an index file of another shape is not used', { file });
    }
    this.#noteEnd();
  }

  /** Timestamp up to which the files are complete, for the checkpoint. */
  get safeTimestampMs(): number {
    return this.#safeTimestampMs;
  }

  /**
   * How many of a record's keys are here, the first ones; Infinity when newer records are.
   * Why not yes or no: a disk that fills between two keys leaves a record with the first of them.
   */
  keysOf(physicalOffset: number): number {
    if (physicalOffset > this.#newest) return 0;
    return physicalOffset === this.#newest ? this.#newestKeys : Number.POSITIVE_INFINITY;
  }

  /** The next key of the record; those before it are here. @throws as the disk; nothing was put then */
  put(keyHash: number, physicalOffset: number, storeTimestampMs: number): void {
    let file = this.#files.at(-1);
    if (file === undefined || file.isFull) {
      file?.retire();
      file = this.#create(storeTimestampMs);
    }
    file.put(keyHash, physicalOffset, storeTimestampMs);
    if (physicalOffset === this.#newest) {
      this.#newestKeys++;
      return;
    }
    this.#newest = physicalOffset;
    this.#newestKeys = 1;
  }

  /** Offsets of records that may carry the key, newest first, within the time range. */
  *candidates(keyHash: number, beginMs: number, endMs: number): Iterable<number> {
    for (const file of [...this.#files].reverse()) {
      if (file.isEmpty || file.beginTimestampMs > endMs) continue;
      if (file.endTimestampMs + 1000 < beginMs) return;
      for (const entry of file.chain(keyHash)) {
        const at = file.beginTimestampMs + entry.seconds * 1000;
        if (at + 1000 > beginMs && at <= endMs) yield entry.physicalOffset;
      }
    }
  }

  /** Every entry of every file, in order of arrival. */
  *entries(): Iterable<IndexEntry> {
    for (const file of this.#files) yield* file.entries();
  }

  /**
   * Drops everything at or beyond `from`.
   * @param areSlotsSound  false after an abnormal end: the slots are then built again
   */
  cut(from: number, areSlotsSound: boolean): void {
    for (let file = this.#files.at(-1); file !== undefined; file = this.#files.at(-1)) {
      if (!file.isEmpty && file.beginOffset < from) {
        if (!areSlotsSound || file.endOffset >= from) file.cut(from);
        break;
      }
      this.#files.pop();
      this.#remove(file);
    }
    this.#noteEnd();
  }

  /** Deletes files whose records are all below the log, never the last one. */
  trimTo(logMin: number): void {
    while (this.#files.length > 1 && this.#files[0]!.endOffset < logMin) {
      this.#remove(this.#files.shift() as IndexFile);
    }
  }

  /** Makes everything put so far durable; slots only now and then, they can be replayed. */
  async flush(isFinal: boolean): Promise<void> {
    const file = this.#files.at(-1);
    if (file === undefined) return;
    const end = file.endTimestampMs;
    file.writeEntries();
    await file.sync();
    file.writeHeader();
    if (isFinal || Date.now() - this.#slotsWrittenMs > SLOTS_EVERY_MS) {
      if (isFinal) file.writeSlotsNow();
      else await file.writeSlots(pause);
      this.#slotsWrittenMs = Date.now();
      await file.sync();
      this.#safeTimestampMs = end;
    }
  }

  close(): void {
    for (const file of this.#files) file.close();
    this.#files = [];
  }

  #create(nowMs: number): IndexFile {
    fs.mkdirSync(this.#folder, { recursive: true });
    let at = Math.max(nowMs, Date.now());
    while (fs.existsSync(path.join(this.#folder, indexFileName(at)))) at++;
    const name = path.join(this.#folder, indexFileName(at));
    const file = this.#open(name);
    this.#files.push(file);
    return file;
  }

  #open(name: string): IndexFile {
    try {
      return new IndexFile(name, this.#shape);
    } catch (reason) {
      fs.rmSync(name, { force: true });
      throw reason;
    }
  }

  #remove(file: IndexFile): void {
    file.close();
    fs.rmSync(file.path, { force: true });
  }

  #noteEnd(): void {
    const last = this.#files.findLastIndex((file) => !file.isEmpty);
    const newest = this.#files[last]?.endOffset ?? -1;
    // Why: a cut takes all entries of a record or none.
    if (newest === this.#newest) return;
    this.#newest = newest;
    this.#newestKeys = 0;
    for (let i = last; i >= 0; i--) {
      const file = this.#files[i]!;
      const count = file.countOf(newest);
      this.#newestKeys += count;
      if (count < file.next - 1) return;
    }
  }
}
