// The file `drRelay` in the store root: where a sealed side sends its clients, so that a restart of it
// goes on relaying. Absent = no relay. A damaged file only ends the relay: no data depends on it.
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  createLog,
  DrError,
  fsyncFolderSync,
  readTextIfExists,
  writeAtomicSync,
} from '../../../base/index.ts';

const log = createLog('dr');

export interface RelayTarget {
  opId: string;
  /** host:port of the promoted broker. */
  target: string;
  region: string;
  epoch: number;
}

export class RelayFile {
  readonly #file: string;

  constructor(rootDir: string) {
    this.#file = path.join(rootDir, 'drRelay');
  }

  load(): RelayTarget | undefined {
    const text = readTextIfExists(this.#file);
    if (text === undefined) return undefined;
    try {
      const { opId, target, region, epoch } = JSON.parse(text) as RelayTarget;
      if (splitAddress(target) !== undefined) return { opId, target, region, epoch };
      throw new DrError('CORRUPT', `no target in ${this.#file}`);
    } catch (reason) {
      log.error('relay.file-damaged', DrError.from(reason).message, { file: this.#file });
      return undefined;
    }
  }

  save(target: RelayTarget): void {
    writeAtomicSync(this.#file, `${JSON.stringify(target)}\n`);
  }

  remove(): void {
    if (!fs.existsSync(this.#file)) return;
    fs.rmSync(this.#file);
    fsyncFolderSync(path.dirname(this.#file));
  }
}

/** `host:port` in parts; undefined when it is not one. */
export function splitAddress(address: unknown): { host: string; port: number } | undefined {
  if (typeof address !== 'string') return undefined;
  const cut = address.lastIndexOf(':');
  const port = Number(address.slice(cut + 1));
  if (cut < 1 || !Number.isInteger(port) || port < 1 || port > 65_535) return undefined;
  return { host: address.slice(0, cut), port };
}
