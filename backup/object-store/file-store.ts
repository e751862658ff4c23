// Objects as files below one folder (a disk, an NFS mount).
// The one idea: bytes are written and fsynced under `.tmp/`, then hard-linked to their name (create if
// absent is atomic: link fails when the name exists) or renamed over it; then the folder is fsynced.
// Invariant: only prepare() makes the root or writes into an empty one: below a mount point whose mount is
// gone lies an empty folder, and filling that would look like a backup.
// Where the file system has no hard links, a claim file (create-exclusive) takes the place of the link.
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { DrError, fsyncFolderSync } from '../../core-broker/base/index.ts';
import { isAlive, withClaim } from './claim.ts';
import {
  type ByteRange,
  checkKey,
  missingObject,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  type PutResult,
} from './port.ts';

const TMP = '.tmp';
const WRITE_BYTES = 4 * 1024 * 1024;
/** What file systems without hard links answer (FAT, some network shares). */
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

type LinkFile = (from: string, to: string) => Promise<void>;

export interface FileStoreOptions {
  root: string;
  /** For tests: a file system without hard links. */
  link?: LinkFile;
}

/** Opens a folder as a target; a folder that is missing or empty shows at the first call. */
export function openFileStore(options: FileStoreOptions): ObjectStore {
  const root = path.resolve(options.root);
  removeLeftovers(path.join(root, TMP));
  return new FileStore(root, options.link ?? fs.promises.link);
}

class FileStore implements ObjectStore {
  readonly where: string;
  readonly #root: string;
  readonly #link: LinkFile;

  constructor(root: string, link: LinkFile) {
    this.#root = root;
    this.#link = link;
    this.where = root;
  }

  async prepare(): Promise<void> {
    try {
      if (!fs.existsSync(this.#root)) fs.mkdirSync(this.#root);
      fs.mkdirSync(path.join(this.#root, TMP), { recursive: true });
      fsyncFolderSync(this.#root);
    } catch (cause) {
      throw gone(this.#root, cause);
    }
  }

  async put(key: string, body: Uint8Array, options: PutOptions): Promise<PutResult> {
    const target = this.#path(key);
    if (options.ifAbsent && fs.existsSync(target)) return 'exists';
    const tmp = path.join(this.#root, TMP, tmpName());
    try {
      this.#makeFolder(path.join(this.#root, TMP));
      await writeDurably(tmp, body);
      this.#makeFolder(path.dirname(target));
      if (options.ifAbsent) return await this.#createIfAbsent(tmp, target);
      await fs.promises.rename(tmp, target);
      await fsyncFolder(path.dirname(target));
      return 'created';
    } catch (reason) {
      throw this.#explain(reason);
    } finally {
      removeQuietly(tmp);
    }
  }

  putLarge(key: string, body: Uint8Array, options: PutOptions): Promise<PutResult> {
    return this.put(key, body, options);
  }

  async get(key: string, range?: ByteRange): Promise<Buffer> {
    let handle: fs.promises.FileHandle;
    try {
      handle = await fs.promises.open(this.#path(key), 'r');
    } catch (reason) {
      throw this.#explain(reason, key);
    }
    try {
      const { size } = await handle.stat();
      const start = range?.start ?? 0;
      const end = Math.min(range?.end ?? size, size);
      if (range && start >= size) {
        throw new DrError(
          'CORRUPT',
          `${this.where}: ${key} has ${size} bytes, asked from ${start}`,
        );
      }
      return await readFully(handle, start, end - start);
    } catch (reason) {
      throw this.#explain(reason, key);
    } finally {
      await handle.close();
    }
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    try {
      const stat = fs.statSync(this.#path(key));
      return { key, sizeBytes: stat.size, modifiedMs: stat.mtimeMs };
    } catch (reason) {
      const failure = this.#explain(reason, key);
      if (failure.code === 'NOT_FOUND') return undefined;
      throw failure;
    }
  }

  async list(prefix: string): Promise<ObjectInfo[]> {
    this.#requireRoot();
    const found: ObjectInfo[] = [];
    const folder = prefix.includes('/') ? prefix.slice(0, prefix.lastIndexOf('/')) : '';
    this.#walk(folder, prefix, found);
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async delete(keys: string[]): Promise<void> {
    const folders = new Set<string>();
    for (const key of keys) {
      const target = this.#path(key);
      try {
        fs.unlinkSync(target);
        folders.add(path.dirname(target));
      } catch (reason) {
        const failure = this.#explain(reason, key);
        if (failure.code !== 'NOT_FOUND') throw failure;
      }
    }
    for (const folder of folders) fsyncFolderSync(folder);
  }

  async sweep(): Promise<void> {
    removeLeftovers(path.join(this.#root, TMP));
  }

  close(): void {
    // Holds no handle between calls.
  }

  #path(key: string): string {
    return path.join(this.#root, ...checkKey(key).split('/'));
  }

  #walk(folder: string, prefix: string, found: ObjectInfo[]): void {
    const at = path.join(this.#root, folder);
    if (!fs.existsSync(at)) return;
    for (const entry of fs.readdirSync(at, { withFileTypes: true })) {
      const key = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (key === TMP) continue;
      if (entry.isDirectory()) this.#walk(key, prefix, found);
      else if (key.startsWith(prefix)) {
        const stat = fs.statSync(path.join(at, entry.name));
        found.push({ key, sizeBytes: stat.size, modifiedMs: stat.mtimeMs });
      }
    }
  }

  /** Makes the folders of a key durable, one level at a time, never the root itself. */
  #makeFolder(folder: string): void {
    this.#requireRoot();
    let at = this.#root;
    for (const part of path.relative(this.#root, folder).split(path.sep)) {
      if (part === '') continue;
      const parent = at;
      at = path.join(at, part);
      if (fs.existsSync(at)) continue;
      fs.mkdirSync(at, { recursive: true });
      fsyncFolderSync(parent);
    }
  }

  #requireRoot(): void {
    if (!this.#isThere()) throw gone(this.#root, undefined);
  }

  #isThere(): boolean {
    return fs.existsSync(this.#root) && fs.readdirSync(this.#root).length > 0;
  }

  async #createIfAbsent(tmp: string, target: string): Promise<PutResult> {
    try {
      await this.#link(tmp, target);
    } catch (reason) {
      const code = (reason as NodeJS.ErrnoException).code ?? '';
      // Expected: another writer was first. Its object is whole, because it was linked whole.
      if (code === 'EEXIST') return 'exists';
      if (!NO_LINKS.has(code)) throw reason;
      return await withClaim(path.join(this.#root, TMP), target, () => renameIfAbsent(tmp, target));
    }
    await fsyncFolder(path.dirname(target));
    return 'created';
  }

  /** A missing file in a target that is gone is "unreachable", never "not found". */
  #explain(reason: unknown, key?: string): DrError {
    const failure = DrError.from(reason);
    const code = (reason as NodeJS.ErrnoException | undefined)?.code;
    if (failure.code === 'NOT_FOUND' || code === 'ENOTDIR') {
      if (!this.#isThere()) return gone(this.#root, reason);
      return key === undefined ? failure : missingObject(this.where, key);
    }
    if (code === 'EIO' || code === 'ESTALE' || code === 'EROFS') return gone(this.#root, reason);
    if (code === 'EACCES' || code === 'EPERM') {
      return new DrError('AUTH', `${this.where}: ${failure.message}`, { cause: reason });
    }
    return failure;
  }
}

async function writeDurably(file: string, body: Uint8Array): Promise<void> {
  const handle = await fs.promises.open(file, 'wx');
  try {
    for (let at = 0; at < body.length; ) {
      const length = Math.min(WRITE_BYTES, body.length - at);
      at += (await handle.write(body, at, length, at)).bytesWritten;
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readFully(
  handle: fs.promises.FileHandle,
  start: number,
  length: number,
): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(Math.max(0, length));
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, start + done);
    if (bytesRead === 0) throw new DrError('CORRUPT', 'an object became shorter while it was read');
    done += bytesRead;
  }
  return bytes;
}

/** Off the main thread: a commit of the file system's journal must not hold up the workers. */
async function fsyncFolder(folder: string): Promise<void> {
  const handle = await fs.promises.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

const gone = (root: string, cause: unknown): DrError =>
  new DrError('UNREACHABLE', `${root}: the backup target is gone or not mounted`, {
    cause,
    retry: 'never',
    hint: 'mount the target; to begin a new repository there: dr backup init',
  });

const tmpName = (): string => `${os.hostname()}~${process.pid}~${randomBytes(8).toString('hex')}`;

/** Removes what killed writers of this machine left behind, and this process' own. */
function removeLeftovers(folder: string): void {
  if (!fs.existsSync(folder)) return;
  for (const name of fs.readdirSync(folder)) {
    const [host, pid] = name.split('~');
    if (host === os.hostname() && !isAlive(Number(pid))) removeQuietly(path.join(folder, name));
  }
}

async function renameIfAbsent(tmp: string, target: string): Promise<PutResult> {
  if (fs.existsSync(target)) return 'exists';
  await fs.promises.rename(tmp, target);
  await fsyncFolder(path.dirname(target));
  return 'created';
}

function removeQuietly(file: string): void {
  fs.rmSync(file, { force: true });
}
