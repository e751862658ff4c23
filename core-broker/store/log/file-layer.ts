// The few file calls the log makes, as a value: tests put a full or broken disk in its place.
// Everything positional; nothing here moves a file cursor.
import * as fs from 'node:fs';
import { fsyncFolder } from '../../base/index.ts';

export type WriteDone = (reason: NodeJS.ErrnoException | null, written: number) => void;

export interface FileLayer {
  open(file: string, flags: number): number;
  truncate(fd: number, size: number): void;
  writeSync(fd: number, bytes: Uint8Array, span: Span): number;
  write(fd: number, bytes: Uint8Array, span: Span, done: WriteDone): void;
  fdatasync(fd: number, done: (reason: NodeJS.ErrnoException | null) => void): void;
  /** Makes the names in a folder durable. */
  syncFolder(folder: string): Promise<void>;
}

/** Where bytes are in memory and where they go. */
export interface Span {
  start: number;
  length: number;
  position: number;
}

export const systemFiles: FileLayer = {
  open: (file, flags) => fs.openSync(file, flags, 0o644),
  truncate: (fd, size) => fs.ftruncateSync(fd, size),
  writeSync: (fd, bytes, span) => fs.writeSync(fd, bytes, span.start, span.length, span.position),
  write: (fd, bytes, span, done) =>
    fs.write(fd, bytes, span.start, span.length, span.position, done),
  fdatasync: (fd, done) => fs.fdatasync(fd, done),
  syncFolder: (folder) => fsyncFolder(folder),
};

/** True for the errors of a disk without room: they pass when somebody makes some. */
export function isDiskFull(reason: unknown): boolean {
  const code = (reason as NodeJS.ErrnoException).code;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** Writes all of a span or throws; a short write is continued, not returned. */
export function writeFully(layer: FileLayer, fd: number, bytes: Uint8Array, span: Span): void {
  let done = 0;
  while (done < span.length) {
    done += layer.writeSync(fd, bytes, {
      start: span.start + done,
      length: span.length - done,
      position: span.position + done,
    });
  }
}
