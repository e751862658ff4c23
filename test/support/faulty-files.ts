// Every file of this process on a disk that fails, is full, slow or forgetful, by path and on demand: the
// shim under `node:fs` for what no FileLayer stands between (queues, index, checkpoint, configuration,
// timer files). Rules are asked at each call; a call that no rule matches goes to the real disk.
// Invariant: restore() gives everything back; calls under way finish on the real disk.
import fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

export interface FileRule {
  /** Which files. */
  path: RegExp;
  on: 'write' | 'sync' | 'any';
  /** Error code of the call, e.g. EIO, ENOSPC. */
  fails?: string;
  /** Pause before the call, ms. */
  slowMs?: number;
  /** The write says yes and writes nothing, as a page that never left the cache. */
  forgets?: boolean;
}

type Call = (...args: unknown[]) => unknown;
const REAL = { ...fs } as unknown as Record<string, Call>;
const REAL_OPEN = fs.promises.open;
const table = fs as unknown as Record<string, Call>;
const PATCHED = [
  ...['openSync', 'closeSync', 'writeSync', 'writeFileSync', 'ftruncateSync', 'copyFileSync'],
  ...['fsyncSync', 'fdatasyncSync', 'write', 'fdatasync'],
];

export class FaultyFiles {
  rules: FileRule[] = [];
  /** Calls that met a rule. */
  hits = 0;
  readonly #paths = new Map<number, string>();

  constructor() {
    const patch = (name: string, call: Call) => {
      table[name] = call;
    };
    patch('openSync', (file, ...rest) => {
      const fd = real('openSync')(file, ...rest) as number;
      this.#paths.set(fd, String(file));
      return fd;
    });
    patch('closeSync', (fd) => {
      this.#paths.delete(fd as number);
      return real('closeSync')(fd);
    });
    for (const name of ['writeSync', 'writeFileSync', 'ftruncateSync']) {
      patch(name, (target, ...rest) => {
        const rule = this.#met(target, 'write');
        if (rule?.forgets && name === 'writeSync') return lengthOf(rest);
        return real(name)(target, ...rest);
      });
    }
    patch('copyFileSync', (from, to, ...rest) => {
      this.#met(to, 'write');
      return real('copyFileSync')(from, to, ...rest);
    });
    for (const name of ['fsyncSync', 'fdatasyncSync']) {
      patch(name, (fd) => {
        this.#met(fd, 'sync');
        return real(name)(fd);
      });
    }
    for (const name of ['write', 'fdatasync']) patch(name, this.#later(name));
    fs.promises.open = (async (file: string, ...rest: never[]) =>
      this.#handle(file, await REAL_OPEN(file, ...rest))) as typeof REAL_OPEN;
    syncBuiltinESMExports();
  }

  restore(): void {
    for (const name of PATCHED) table[name] = REAL[name] as Call;
    fs.promises.open = REAL_OPEN;
    syncBuiltinESMExports();
  }

  /** What fs.promises.open gives: its calls do not come through the functions above. */
  #handle(file: string, handle: FileHandle): FileHandle {
    const calls = handle as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
    for (const name of ['write', 'datasync', 'sync']) {
      const call = calls[name]?.bind(handle);
      calls[name] = async (...args) => {
        const rule = this.#find(file, name === 'write' ? 'write' : 'sync');
        if (rule?.slowMs) await new Promise((resolve) => setTimeout(resolve, rule.slowMs));
        if (rule?.fails !== undefined) throw errorOf(rule.fails);
        return rule?.forgets ? { bytesWritten: lengthOf(args), buffer: args[0] } : call?.(...args);
      };
    }
    return handle;
  }

  /** A call with a callback: fails in a later turn, waits without holding up the loop. */
  #later(name: string): Call {
    return (fd, ...rest) => {
      const rule = this.#find(fd, name === 'write' ? 'write' : 'sync');
      if (rule === undefined) return real(name)(fd, ...rest);
      const done = rest.at(-1) as (reason: unknown, count: number) => void;
      setTimeout(() => {
        if (rule.fails !== undefined) done(errorOf(rule.fails), 0);
        else if (rule.forgets) done(null, lengthOf(rest));
        else real(name)(fd, ...rest);
      }, rule.slowMs ?? 0);
      return undefined;
    };
  }

  /** @throws as the rule says */
  #met(target: unknown, kind: 'write' | 'sync'): FileRule | undefined {
    const rule = this.#find(target, kind);
    if (rule?.slowMs) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, rule.slowMs);
    if (rule?.fails !== undefined) throw errorOf(rule.fails);
    return rule;
  }

  #find(target: unknown, kind: 'write' | 'sync'): FileRule | undefined {
    const path = typeof target === 'number' ? this.#paths.get(target) : String(target);
    if (path === undefined) return undefined;
    const rule = this.rules.find(
      (each) => (each.on === 'any' || each.on === kind) && each.path.test(path),
    );
    if (rule !== undefined) this.hits++;
    return rule;
  }
}

const real = (name: string): Call => REAL[name] as Call;

const errorOf = (code: string): NodeJS.ErrnoException =>
  Object.assign(new Error(`${code}: made by the test`), { code });

/** Bytes that a write was asked to write: (buffer, offset, length, position). */
const lengthOf = ([bytes, , length]: unknown[]): number =>
  typeof length === 'number' ? length : ((bytes as Uint8Array | undefined)?.length ?? 0);
