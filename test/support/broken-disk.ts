// A disk that has no room, fails, is slow or writes short, on demand: a FileLayer over the real one.
import type { FileLayer, Span } from '../../core-broker/store/log/file-layer.ts';
import { systemFiles } from '../../core-broker/store/log/file-layer.ts';

const SLEEP = new Int32Array(new SharedArrayBuffer(4));

export class BrokenDisk implements FileLayer {
  /** Bytes that still fit; Infinity = a healthy disk. */
  roomBytes = Number.POSITIVE_INFINITY;
  /** Error code of every write and sync, undefined = none. */
  failure: string | undefined;
  /** Longest single write; the rest is reported as a short write. */
  shortBytes = Number.POSITIVE_INFINITY;
  /** Holds asynchronous writes back until release() is called, newest first. */
  isHeld = false;
  /** How long a write on the loop is held, ms. */
  loopHoldMs = 0;
  loopWrites = 0;
  poolWrites = 0;
  /** Syncs of folders wait for it. */
  folderHold: Promise<void> | undefined;
  folderSyncs = 0;
  readonly #held: (() => void)[] = [];

  open(file: string, flags: number): number {
    return systemFiles.open(file, flags);
  }
  truncate(fd: number, size: number): void {
    systemFiles.truncate(fd, size);
  }
  writeSync(fd: number, bytes: Uint8Array, span: Span): number {
    this.loopWrites++;
    if (this.loopHoldMs > 0) Atomics.wait(SLEEP, 0, 0, this.loopHoldMs);
    return systemFiles.writeSync(fd, bytes, { ...span, length: this.#take(span.length) });
  }
  write(fd: number, bytes: Uint8Array, span: Span, done: Parameters<FileLayer['write']>[3]): void {
    this.poolWrites++;
    const start = () => {
      try {
        systemFiles.write(fd, bytes, { ...span, length: this.#take(span.length) }, done);
      } catch (reason) {
        setImmediate(() => done(reason as NodeJS.ErrnoException, 0));
      }
    };
    if (this.isHeld) this.#held.push(start);
    else start();
  }
  fdatasync(fd: number, done: Parameters<FileLayer['fdatasync']>[1]): void {
    if (this.failure === undefined) systemFiles.fdatasync(fd, done);
    else setImmediate(() => done(this.#error(this.failure as string)));
  }
  async syncFolder(folder: string): Promise<void> {
    this.folderSyncs++;
    await this.folderHold;
    if (this.failure !== undefined) throw this.#error(this.failure);
    return systemFiles.syncFolder(folder);
  }

  get heldWrites(): number {
    return this.#held.length;
  }

  /** Lets one held write go: the newest, so that completions come out of order. */
  releaseNewest(): void {
    this.#held.pop()?.();
  }

  #take(length: number): number {
    if (this.failure !== undefined) throw this.#error(this.failure);
    if (this.roomBytes <= 0) throw this.#error('ENOSPC');
    const taken = Math.min(length, this.roomBytes, this.shortBytes);
    this.roomBytes -= taken;
    return taken;
  }

  #error(code: string): NodeJS.ErrnoException {
    return Object.assign(new Error(`${code}: made by the test`), { code });
  }
}
