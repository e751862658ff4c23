// Operations that were given up here, in the file `drRetired` of the store root: a fence, a seal, a halt
// or a promotion of one of them may still be on its way, from a controller that died or slept, and is
// refused when it comes, also behind a restart.
// Bounded: one operation runs at a time, so the newest ones are the only ones that can still send.
// Order: in memory first, then on disk, then answered. A disk that refuses makes the giving up fail, so
// whoever asked repeats it. A damaged file is reported and begun anew: it only guards against late
// requests, and no data depends on it. Source: protocol/dr-control.ts.
import * as path from 'node:path';
import { createLog, DrError, readTextIfExists, writeAtomicSync } from '../../../base/index.ts';

const log = createLog('dr');
const RETIRED_MAX = 64;

export class RetiredOps {
  readonly #file: string;
  readonly #opIds: Set<string>;
  #isSaved = true;

  constructor(rootDir: string) {
    this.#file = path.join(rootDir, 'drRetired');
    this.#opIds = new Set(load(this.#file));
  }

  has(opId: string): boolean {
    return this.#opIds.has(opId);
  }

  /** Durable on return; idempotent. @throws DrError DISK_FULL and other errors of the disk */
  retire(opId: string): void {
    if (this.#opIds.has(opId) && this.#isSaved) return;
    this.#opIds.add(opId);
    this.#isSaved = false;
    const [oldest] = this.#opIds;
    if (this.#opIds.size > RETIRED_MAX && oldest !== undefined) this.#opIds.delete(oldest);
    try {
      writeAtomicSync(this.#file, `${JSON.stringify([...this.#opIds])}\n`);
    } catch (reason) {
      throw DrError.from(reason);
    }
    this.#isSaved = true;
  }

  /** @throws DrError REFUSED for an operation that was given up */
  refuse(opId: string): void {
    if (!this.#opIds.has(opId)) return;
    throw new DrError('REFUSED', `operation ${opId} was aborted here; start a new one`);
  }
}

function load(file: string): string[] {
  const text = readTextIfExists(file);
  if (text === undefined) return [];
  try {
    const opIds: unknown = JSON.parse(text);
    if (Array.isArray(opIds) && opIds.every((opId) => typeof opId === 'string')) return opIds;
    throw new DrError('CORRUPT', 'no list of operation ids');
  } catch (reason) {
    log.error('retired.file-damaged', DrError.from(reason).message, { file });
    return [];
  }
}
