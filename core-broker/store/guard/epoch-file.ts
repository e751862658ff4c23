// The file `drEpoch`: one line that names format and checksum, then the JSON of EpochState.
//   rocketmq-dr epoch 1 crc32=<8 hex digits of the JSON bytes>\n{...}\n
// Invariant: a damaged file is never replaced by a default; the store does not open without the truth.
// Durable on return: tmp, fsync, rename, fsync of the folder (writeAtomicSync).
import { crc32 } from 'node:zlib';
import { DrError, readTextIfExists, writeAtomicSync } from '../../base/index.ts';
import type { EpochState } from '../door.ts';
import { storeLayout } from '../layout.ts';

const HEADER = /^rocketmq-dr epoch 1 crc32=([0-9a-f]{8})\n/;

const checksum = (text: string): string => crc32(text).toString(16).padStart(8, '0');

/** @throws system errors; the old content is in place unless the rename already happened */
export function writeEpochFile(file: string, state: EpochState): void {
  const json = JSON.stringify(state);
  writeAtomicSync(file, `rocketmq-dr epoch 1 crc32=${checksum(json)}\n${json}\n`);
}

/** The epoch state in a store directory, without its lock; see readEpochState. */
export const readEpochFile = (rootDir: string): EpochState | undefined =>
  readEpochState(storeLayout(rootDir).drEpoch);

/**
 * The stored state, or undefined when there is no file.
 * @throws DrError CORRUPT when the file is damaged or of another format
 */
export function readEpochState(file: string): EpochState | undefined {
  const text = readTextIfExists(file);
  if (text === undefined) return undefined;
  const header = HEADER.exec(text);
  const json = header === null ? '' : text.slice(header[0].length).replace(/\n$/, '');
  if (header === null || header[1] !== checksum(json)) {
    throw new DrError('CORRUPT', `${file}: damaged or of an unknown format`, {
      hint: 'do not delete it: read the epoch from the peer region (dr status) and ask for help',
      context: { file },
    });
  }
  return JSON.parse(json) as EpochState;
}
