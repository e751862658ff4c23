// Folders, and small state files that survive a crash at any point: old content or new content, never a mix.
// Order: write tmp -> fsync tmp -> (keep .bak) -> rename -> fsync the folder. Durable on return.
import * as fs from 'node:fs';
import * as path from 'node:path';

export interface AtomicWriteOptions {
  /** Keep the previous content as `<file>.bak`, as RocketMQ does for its config files. */
  keepBackup?: boolean;
  mode?: number;
}

/**
 * Replaces a small file durably. Synchronous on purpose: callers change state in one tick.
 * @throws system errors (ENOSPC, EIO) unchanged; the old content is then still in place
 */
export function writeAtomicSync(
  file: string,
  content: string | Uint8Array,
  options: AtomicWriteOptions = {},
): void {
  const tmp = `${file}.tmp`;
  const fd = fs.openSync(tmp, 'w', options.mode ?? 0o644);
  try {
    fs.writeFileSync(fd, content);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  if (options.keepBackup && fs.existsSync(file)) fs.copyFileSync(file, `${file}.bak`);
  fs.renameSync(tmp, file);
  fsyncFolderSync(path.dirname(file));
}

/**
 * The same, with everything that waits for the disk off the loop. Its own temporary name: a synchronous
 * write of the same file may come in between, and then is the newer one.
 * @param isSuperseded  asked in the tick of the rename: the content is dropped when it says yes
 * @throws system errors unchanged; the old content is then still in place
 */
export async function writeAtomic(
  file: string,
  content: string,
  options: AtomicWriteOptions & { isSuperseded: () => boolean },
): Promise<void> {
  const tmp = `${file}.soon.tmp`;
  const handle = await fs.promises.open(tmp, 'w', options.mode ?? 0o644);
  try {
    const bytes = Buffer.from(content);
    for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (options.isSuperseded()) return fs.promises.rm(tmp, { force: true });
  if (options.keepBackup && fs.existsSync(file)) fs.copyFileSync(file, `${file}.bak`);
  fs.renameSync(tmp, file);
  await fsyncFolder(path.dirname(file));
}

/**
 * A folder and those above it, where they are missing.
 * Why not Node's own way: below /proc, where nothing can be made, that never returns.
 * @throws system errors unchanged; EEXIST when a file stands there
 */
export function makeFolder(folder: string): void {
  if (fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  const above = path.dirname(folder);
  if (above !== folder) makeFolder(above);
  try {
    fs.mkdirSync(folder);
  } catch (reason) {
    // Expected: another process made it meanwhile.
    if (!fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw reason;
  }
}

/** Makes a rename, create or unlink in this folder durable. */
export function fsyncFolderSync(folder: string): void {
  const fd = fs.openSync(folder, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** The same off the loop: it may wait for much that others have written. */
export async function fsyncFolder(folder: string): Promise<void> {
  const handle = await fs.promises.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Text of a file, or undefined when it does not exist. */
export function readTextIfExists(
  file: string,
  encoding: BufferEncoding = 'utf8',
): string | undefined {
  try {
    return fs.readFileSync(file, encoding);
  } catch (reason) {
    // Expected: a state file that was never written.
    if ((reason as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw reason;
  }
}
