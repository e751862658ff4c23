// Open handles of consume queue files: many queues, few handles. Least recently used ones are closed.
// All calls are synchronous, so a handle is never closed while somebody uses it.
// Invariant: `dirty` names every file written since its last sync.
import * as fs from 'node:fs';
import * as path from 'node:path';

const HANDLES_MAX = 256;
const { O_RDWR, O_CREAT } = fs.constants;

export class QueueFiles {
  readonly #handles = new Map<string, number>();
  readonly dirty = new Set<string>();

  /** Handle of a file; created at full size when `size` is given. */
  open(file: string, size?: number): number {
    const known = this.#handles.get(file);
    if (known !== undefined) {
      this.#handles.delete(file);
      this.#handles.set(file, known);
      return known;
    }
    const fd = size === undefined ? fs.openSync(file, O_RDWR) : createSized(file, size);
    this.#handles.set(file, fd);
    if (this.#handles.size > HANDLES_MAX) this.#closeOldest();
    return fd;
  }

  drop(file: string): void {
    const fd = this.#handles.get(file);
    if (fd !== undefined) fs.closeSync(fd);
    this.#handles.delete(file);
    this.dirty.delete(file);
  }

  /** fdatasync of every dirty file, one after the other, without blocking the loop. */
  async sync(): Promise<void> {
    for (const file of [...this.dirty]) {
      this.dirty.delete(file);
      // Why an own handle: the cached one may be closed while the thread pool works.
      const handle = await fs.promises.open(file, 'r+').catch(absent);
      if (handle === undefined) continue;
      try {
        await handle.datasync();
      } finally {
        await handle.close();
      }
    }
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

/** A file that retention removed in the meantime needs no sync. */
function absent(reason: NodeJS.ErrnoException): undefined {
  if (reason.code === 'ENOENT') return undefined;
  throw reason;
}

function createSized(file: string, size: number): number {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const fd = fs.openSync(file, O_RDWR | O_CREAT, 0o644);
  if (fs.fstatSync(fd).size !== size) fs.ftruncateSync(fd, size);
  return fd;
}
