// The ACL files of a broker: found, watched, changed. One table is in force at any moment.
//   <conf>/plain_acl.yml     the default file; codes 50 and 53 write here unless another file owns the key
//   <conf>/acl/**/*.yml      more files; a key belongs to the first file that names it
// <conf> is the folder of the broker's file (Apache: ROCKETMQ_HOME/conf); aclPlainFile names another
// default file, and the folder `acl` beside it counts then.
// Invariants: a reload takes all files or none; a file that cannot be read leaves the last good table in
// force and is reported once per change; a change by request is on disk before it is in force.
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  type Clock,
  createLog,
  DrError,
  readTextIfExists,
  type Service,
  writeAtomicSync,
} from '../../base/index.ts';
import { type AclFile, readAclFile } from './acl-file.ts';
import { AclTable } from './acl-table.ts';

const log = createLog('acl');

/** How often the files are looked at, ms; Apache 500. */
const LOOK_MS = 500;
const FILES_MAX = 1_000;
/** Only the owner reads what the broker writes. */
const FILE_MODE = 0o600;

export interface AclBookOptions {
  /** The default file, absolute. */
  defaultFile: string;
  clock: Clock;
  lookMs?: number;
}

export class AclBook implements Service {
  readonly defaultFile: string;
  readonly #clock: Clock;
  readonly #lookMs: number;
  #table = new AclTable([]);
  /** What the files looked like when they were read last, good or not. */
  #seen = '';
  #timer: NodeJS.Timeout | undefined;

  constructor({ defaultFile, clock, lookMs = LOOK_MS }: AclBookOptions) {
    this.defaultFile = defaultFile;
    this.#clock = clock;
    this.#lookMs = lookMs;
  }

  /** In force now. */
  get table(): AclTable {
    return this.#table;
  }

  /** Reads the files for the first time. @throws DrError CONFIG when one of them is no ACL file, or none is there */
  load(): void {
    const paths = this.#paths();
    if (paths.length === 0) {
      throw new DrError('CONFIG', `aclEnable is true but ${this.defaultFile} does not exist`, {
        hint: 'see docs/security.md for a first plain_acl.yml',
      });
    }
    this.#seen = look(paths);
    this.#take(new AclTable(this.#read(paths)));
  }

  async start(): Promise<void> {
    if (this.#seen === '') this.load();
    this.#timer ??= setInterval(() => this.lookAgain(), this.#lookMs).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Reads the files again when one of them changed, came or went. */
  lookAgain(): void {
    try {
      const paths = this.#paths();
      const seen = look(paths);
      if (seen === this.#seen) return;
      this.#seen = seen;
      this.#take(new AclTable(this.#read(paths)));
    } catch (reason) {
      const error = DrError.from(reason);
      log.error('acl.refused', 'the ACL files cannot be read; the last good ones stay in force', {
        code: error.code,
        error: error.message,
        runbook: 'docs/security.md',
      });
    }
  }

  /**
   * Replaces the text of one file and puts the result into force.
   * @throws DrError CONFIG when the result would be no good file: nothing changed then
   */
  replace(file: string, text: string): void {
    const changed = readAclFile(file, text, this.#clock.nowMs());
    const others = this.#read(this.#paths().filter((each) => each !== file));
    writeAtomicSync(file, text, { mode: FILE_MODE });
    const paths = this.#paths();
    this.#seen = look(paths);
    const files = [...others, changed].sort(
      (left, right) => paths.indexOf(left.path) - paths.indexOf(right.path),
    );
    this.#take(new AclTable(files));
  }

  #take(table: AclTable): void {
    this.#table = table;
    for (const warning of table.warnings) log.warn('acl.warning', warning);
    log.info('acl.loaded', 'ACL files are in force', {
      files: table.files.map((file) => file.path),
      accounts: table.size,
    });
  }

  /** All files or none. @throws DrError CONFIG */
  #read(paths: readonly string[]): AclFile[] {
    return paths.map((file) => {
      const changedMs = Math.floor(fs.statSync(file).mtimeMs);
      return readAclFile(file, readTextIfExists(file) ?? '', changedMs);
    });
  }

  /** The folder `acl` first, in order of names, then the default file, as Apache does. */
  #paths(): string[] {
    const folder = path.join(path.dirname(this.defaultFile), 'acl');
    const found = yamlFilesUnder(folder).filter((file) => file !== this.defaultFile);
    return fs.existsSync(this.defaultFile) ? [...found, this.defaultFile] : found;
  }
}

function yamlFilesUnder(folder: string): string[] {
  if (!fs.existsSync(folder)) return [];
  const found: string[] = [];
  for (const entry of fs.readdirSync(folder, { recursive: true, withFileTypes: true })) {
    const file = path.join(entry.parentPath, entry.name);
    // Why: mounted configuration shows its files twice, once under folders named `..<time>`.
    const isTwin = path.relative(folder, file).startsWith('..');
    const isThere = entry.isFile() || entry.isSymbolicLink();
    if (isThere && !isTwin && /\.ya?ml$/.test(entry.name)) found.push(file);
    if (found.length > FILES_MAX) throw new DrError('CONFIG', `${folder}: too many ACL files`);
  }
  return found.sort();
}

/** Changes when any file is written, replaced, added or removed. */
const look = (paths: readonly string[]): string =>
  paths
    .map((file) => {
      const { mtimeNs, size, ino } = fs.statSync(file, { bigint: true });
      return `${file}|${mtimeNs}|${size}|${ino}`;
    })
    .join('\n');
