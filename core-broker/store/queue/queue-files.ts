// Open handles of consume queue files: many queues, few handles. Least recently used ones are closed.
// All calls are synchronous, so a handle is never closed while somebody uses it.
// Invariant: `dirty` names every file written since its last sync.
import * as fs from 'node:fs';
import * as path from 'node:path';

const HANDLES_MAX = 256;
/** Syncs under way; the thread pool has four threads, and the log needs one. */
const LANES = 3;
const { O_RDWR, O_CREAT } = fs.constants;

export class QueueFiles {
  readonly #handles = new Map<string, number>();
  readonly dirty = new Set<string>();
  /** Opened last: asked for again, it needs no new place in the order. */
  #newest = '';

  /** Handle of a file; created at full size when `size` is given. */
  open(file: string, size?: number): number {
    const known = this.#handles.get(file);
    if (known !== undefined) {
      if (file === this.#newest) return known;
      this.#newest = file;
      this.#handles.delete(file);
      this.#handles.set(file, known);
      return known;
    }
    const fd = size === undefined ? fs.openSync(file, O_RDWR) : createSized(file, size);
    this.#handles.set(file, fd);
    this.#newest = file;
    if (this.#handles.size > HANDLES_MAX) this.#closeOldest();
    return fd;
  }

  drop(file: string): void {
    const fd = this.#handles.get(file);
    if (fd !== undefined) fs.closeSync(fd);
    this.#handles.delete(file);
    this.dirty.delete(file);
  }

  /** fdatasync of every dirty file, a few at a time, without blocking the loop. */
  async sync(): Promise<void> {
    const files = [...this.dirty];
    this.dirty.clear();
    const lane = async () => {
      for (let file = files.pop(); file !== undefined; file = files.pop()) {
        await syncFile(file).catch((reason: unknown) => {
          for (const each of [file, ...files.splice(0)]) this.dirty.add(each as string);
          throw reason;
        });
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
  }

  close(): void {
    for (const fd of this.#handles.values()) fs.closeSync(fd);
    this.#handles.clear();
  }

  #closeOldest(): void {
    for (const [file, fd] of this.#handles) {
      fs.closeSync(fd);
      this.#handles.delete(file);
      return;
    }
  }
}

async function syncFile(file: string): Promise<void> {
  let fd: number;
  try {
    // Why an own handle: the cached one may be closed while the thread pool works.
    fd = fs.openSync(file, O_RDWR);
  } catch (reason) {
    // A file that retention removed in the meantime needs no sync.
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw reason;
  }
  try {
    await new Promise<void>((resolve, reject) => {
      fs.fdatasync(fd, (reason) => (reason === null ? resolve() : reject(reason)));
    });
  } finally {
    fs.closeSync(fd);
  }
}

function createSized(file: string, size: number): number {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const fd = fs.openSync(file, O_RDWR | O_CREAT, 0o644);
  // Why never shorter: a file of a larger configured size has entries there.
  if (fs.fstatSync(fd).size < size) fs.ftruncateSync(fd, size);
  return fd;
}
