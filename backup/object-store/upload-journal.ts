// Remembers open multipart uploads on local disk, so that a killed backup resumes its upload instead of
// starting again or leaving paid-for parts behind. One small file per upload, replaced atomically.
// Losing the journal loses no data: the parts are orphans that abortStale of the next run cannot name.
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { readTextIfExists, writeAtomicSync } from '../../core-broker/base/index.ts';

export interface UploadEntry {
  where: string;
  key: string;
  uploadId: string;
  partBytes: number;
  /** SHA-256 of the whole body: only the same body may continue the upload. */
  bodySha256: string;
  startedMs: number;
}

export interface UploadJournal {
  find(where: string, key: string): UploadEntry | undefined;
  save(entry: UploadEntry): void;
  remove(where: string, key: string): void;
  all(): UploadEntry[];
}

/** A journal in `folder`, created when missing. */
export function openUploadJournal(folder: string): UploadJournal {
  fs.mkdirSync(folder, { recursive: true });
  const fileOf = (where: string, key: string) =>
    path.join(folder, `${createHash('sha256').update(`${where}\n${key}`).digest('hex')}.upload`);
  const read = (file: string): UploadEntry | undefined => {
    const text = readTextIfExists(file);
    return text === undefined ? undefined : (JSON.parse(text) as UploadEntry);
  };
  return {
    find: (where, key) => read(fileOf(where, key)),
    save: (entry) => writeAtomicSync(fileOf(entry.where, entry.key), JSON.stringify(entry)),
    remove: (where, key) => fs.rmSync(fileOf(where, key), { force: true }),
    all: () =>
      fs
        .readdirSync(folder)
        .filter((name) => name.endsWith('.upload'))
        .flatMap((name) => read(path.join(folder, name)) ?? []),
  };
}
