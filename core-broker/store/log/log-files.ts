// The commit-log files of one store: 20-digit names, all of exactly one size, consecutive.
// Creates them at full size (sparse), opens each once and keeps the handle; a second handle with
// O_DSYNC is opened for SYNC_FLUSH commits only.
// Invariant: a handle is closed only when no asynchronous call uses it (`users`). Nothing in a new file may
// be called durable before its name is (syncNames).
// Source: RocketMQ MappedFileQueue, behaviour only.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DrError, fsyncFolderSync, makeFolder } from '../../base/index.ts';
import { mappedFileName, mappedFileOffset } from '../layout.ts';
import type { FileLayer } from './file-layer.ts';

export interface LogFile {
  readonly start: number;
  readonly path: string;
  readonly fd: number;
  /** O_DSYNC handle, -1 until a commit needs it. */
  syncFd: number;
  /** Asynchronous calls in flight on the handles. */
  users: number;
  isRemoved: boolean;
}

const { O_RDWR, O_CREAT, O_DSYNC } = fs.constants;

export class LogFiles {
  readonly folder: string;
  readonly fileSize: number;
  /** Scans trust bodies (checkCRCOnRecover off). */
  skipsBodyCrc = false;
  /** Checksums in the properties are compared, too (forceVerifyPropCRC). */
  readonly comparesRecordCrc: boolean;
  readonly #layer: FileLayer;
  #files: LogFile[] = [];
  /** Files whose names are not on disk yet. */
  readonly #unnamed = new Set<LogFile>();
  #naming: Promise<void> | undefined;

  constructor(
    folder: string,
    shape: { fileSize: number; comparesRecordCrc?: boolean },
    layer: FileLayer,
  ) {
    const { fileSize, comparesRecordCrc = false } = shape;
    this.comparesRecordCrc = comparesRecordCrc;
    this.folder = folder;
    this.fileSize = fileSize;
    this.#layer = layer;
  }

  /**
   * Opens what is there. Durable on return: the names; a killed process may have left new ones.
   * @throws DrError CORRUPT for a stray name, a wrong size or a missing file in between
   */
  load(): void {
    makeFolder(this.folder);
    for (const start of listLogFiles(this.folder, this.fileSize))
      this.#files.push(this.#open(start));
    if (!this.isEmpty) fsyncFolderSync(this.folder);
  }

  get all(): readonly LogFile[] {
    return this.#files;
  }

  get isEmpty(): boolean {
    return this.#files.length === 0;
  }

  /** Start of the first file, 0 when there is none. */
  get minOffset(): number {
    return this.#files[0]?.start ?? 0;
  }

  get last(): LogFile | undefined {
    return this.#files.at(-1);
  }

  startOf(offset: number): number {
    // Why no %: on numbers above 2^31 it costs as much as a whole header field. Exact below 2^53.
    return Math.floor(offset / this.fileSize) * this.fileSize;
  }

  /** Bytes from offset to the end of its file. */
  leftAt(offset: number): number {
    return this.startOf(offset) + this.fileSize - offset;
  }

  /** End of the last file. */
  get limit(): number {
    return this.last === undefined ? 0 : this.last.start + this.fileSize;
  }

  find(offset: number): LogFile | undefined {
    return this.#files[(this.startOf(offset) - this.minOffset) / this.fileSize];
  }

  /**
   * The file that holds `offset`, created when it is the next one (or the first). A new one is not durable
   * on return, neither its name.
   */
  ensure(offset: number): LogFile {
    const known = this.find(offset);
    if (known !== undefined) return known;
    const start = this.startOf(offset);
    const expected = this.last === undefined ? start : this.last.start + this.fileSize;
    if (start !== expected) throw new Error(`log file ${start} does not follow ${expected}`);
    const file = this.#open(start);
    this.#layer.truncate(file.fd, this.fileSize);
    this.#unnamed.add(file);
    this.#files.push(file);
    return file;
  }

  /** True when the names of all files are on disk. */
  get areNamed(): boolean {
    return this.#unnamed.size === 0;
  }

  /**
   * Resolves when the names of all files are on disk.
   * Why not in ensure(): under load the folder's fsync waits 50 to 200 ms for what the disk has to write
   * before it, and the loop with it.
   * @throws system errors unchanged
   */
  async syncNames(): Promise<void> {
    while (!this.areNamed) {
      this.#naming ??= this.#syncFolder().finally(() => {
        this.#naming = undefined;
      });
      await this.#naming;
    }
  }

  /** Path of the file that holds `offset`, whether it exists or not. */
  nameOf(offset: number): string {
    return path.join(this.folder, mappedFileName(this.startOf(offset)));
  }

  /** Handle for durable writes into this file. */
  syncHandle(file: LogFile): number {
    if (file.syncFd < 0) file.syncFd = this.#layer.open(file.path, O_RDWR | O_DSYNC);
    return file.syncFd;
  }

  /** Reads from one file; fewer bytes only at its end. */
  readSync(offset: number, into: Buffer): number {
    const file = this.find(offset);
    if (file === undefined) return 0;
    return fs.readSync(file.fd, into, 0, into.length, offset - file.start);
  }

  /** @param room  where to, at least `length` bytes; left alone until the promise settles */
  read(offset: number, length: number, room?: Buffer): Promise<Buffer> {
    const file = this.find(offset);
    if (file === undefined) {
      return Promise.reject(new DrError('NOT_FOUND', `no commit-log file holds offset ${offset}`));
    }
    const into = room ?? Buffer.allocUnsafe(length);
    this.hold(file);
    return new Promise((resolve, reject) => {
      fs.read(file.fd, into, 0, length, offset - file.start, (reason, count) => {
        this.release(file);
        if (reason) reject(DrError.from(reason));
        else resolve(count === into.length ? into : into.subarray(0, count));
      });
    });
  }

  hold(file: LogFile): void {
    file.users++;
  }

  release(file: LogFile): void {
    file.users--;
    if (file.isRemoved && file.users === 0) closeHandles(file);
  }

  async #syncFolder(): Promise<void> {
    // Why before: a name made while the disk works may come too late for it.
    const files = [...this.#unnamed];
    await this.#layer.syncFolder(this.folder);
    for (const file of files) this.#unnamed.delete(file);
  }

  /** Deletes the first file; its readers finish on the open handle. */
  removeFirst(): void {
    const first = this.#files.shift();
    if (first === undefined) return;
    fs.unlinkSync(first.path);
    this.#retire(first);
  }

  /** Cuts the log to `end`: later files go, the rest of the last one becomes zeros. */
  cut(end: number): void {
    while (this.#isBeyond(end)) {
      const file = this.#files.pop() as LogFile;
      fs.unlinkSync(file.path);
      this.#retire(file);
    }
    const file = this.last;
    if (file !== undefined && end < file.start + this.fileSize) {
      fs.ftruncateSync(file.fd, end - file.start);
      fs.ftruncateSync(file.fd, this.fileSize);
      fs.fdatasyncSync(file.fd);
    }
    fsyncFolderSync(this.folder);
  }

  close(): void {
    for (const file of this.#files) this.#retire(file);
    this.#files = [];
  }

  /** Why the first file may stay empty: its name says where the log begins. */
  #isBeyond(end: number): boolean {
    const { last } = this;
    if (last === undefined) return false;
    return last.start > end || (last.start === end && this.#files.length > 1);
  }

  #retire(file: LogFile): void {
    file.isRemoved = true;
    this.#unnamed.delete(file);
    if (file.users === 0) closeHandles(file);
  }

  #open(start: number): LogFile {
    const name = path.join(this.folder, mappedFileName(start));
    const fd = this.#layer.open(name, O_RDWR | O_CREAT);
    return { start, path: name, fd, syncFd: -1, users: 0, isRemoved: false };
  }
}

function closeHandles(file: LogFile): void {
  fs.closeSync(file.fd);
  if (file.syncFd >= 0) fs.closeSync(file.syncFd);
}

/**
 * Start offsets of the mapped files in a folder, in order; folders inside are skipped.
 * A last file without content (a crash between create and truncate) is left out and will be
 * created again.
 */
export function listLogFiles(folder: string, fileSize: number): number[] {
  const starts: number[] = [];
  for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) continue;
    const start = mappedFileOffset(entry.name);
    const where = path.join(folder, entry.name);
    if (start === undefined) {
      throw new DrError('CORRUPT', `${where}: not the name of a commit-log file`, {
        hint: 'move files that are not ours out of this folder',
        context: { file: where },
      });
    }
    starts.push(start);
  }
  starts.sort((left, right) => left - right);
  return starts.filter((start, i) => checkFile(folder, { start, fileSize }, starts[i + 1]));
}

function checkFile(
  folder: string,
  file: { start: number; fileSize: number },
  next: number | undefined,
): boolean {
  const where = path.join(folder, mappedFileName(file.start));
  const sizeBytes = fs.statSync(where).size;
  if (sizeBytes === 0 && next === undefined) return false;
  if (sizeBytes !== file.fileSize) {
    throw new DrError('CORRUPT', `${where}: ${sizeBytes} bytes, expected ${file.fileSize}`, {
      hint: 'mappedFileSizeCommitLog must be what the store was written with',
      context: { file: where, sizeBytes, expectedBytes: file.fileSize },
    });
  }
  if (next !== undefined && next !== file.start + file.fileSize) {
    const missing = mappedFileName(file.start + file.fileSize);
    throw new DrError('CORRUPT', `${path.join(folder, missing)}: missing in the commit log`, {
      context: { file: missing, offset: file.start + file.fileSize },
    });
  }
  return true;
}
