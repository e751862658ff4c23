// What a worker thread is asked to do, and the code that does it (called by worker.ts).
// A task opens its own file, does blocking reads and writes, and ends with one answer.
import * as fs from 'node:fs';
import { DrError } from '../../core-broker/base/errors.ts';
import { buildSegment, openSegment } from './codec.ts';
import { FRAME_BYTES } from './format.ts';
import { waitWhileShut } from './gate.ts';
import { type RangeScan, RangeScanner, type ScanTarget } from './record-scan.ts';

export interface ArchiveTask {
  kind: 'archive';
  path: string;
  offset: number;
  rawBytes: number;
  level: number;
  key: Uint8Array | undefined;
  /** The records to prove on the way. */
  scan: ScanTarget;
}

export interface ExtractTask {
  kind: 'extract';
  object: Uint8Array;
  id: string;
  /** Undefined: only prove the object. */
  path: string | undefined;
  offset: number;
  key: Uint8Array | undefined;
}

export type SegmentTask = ArchiveTask | ExtractTask;

export interface ArchiveAnswer {
  id: string;
  object: Uint8Array;
  scan: RangeScan;
}

export interface ExtractAnswer {
  rawBytes: number;
}

const keyOf = (key: Uint8Array | undefined) => (key === undefined ? undefined : { bytes: key });

/**
 * Reads one range of a file once, packs it and proves its records while the bytes are warm.
 * @param gate  cell of the gate that holds it between two pieces
 * @throws DrError CORRUPT when the file is shorter
 */
export function runArchive(task: ArchiveTask, gate: Int32Array): ArchiveAnswer {
  const fd = fs.openSync(task.path, 'r');
  try {
    const scanner = new RangeScanner(task.offset, task.scan);
    const read = (into: Buffer, offset: number) => {
      waitWhileShut(gate);
      readExactly(fd, into, task.offset + offset);
      scanner.advance(into);
    };
    const built = buildSegment(task.rawBytes, read, { level: task.level, key: keyOf(task.key) });
    const scan = scanner.finish((into, position) => readExactly(fd, into, position));
    return { ...built, scan };
  } finally {
    fs.closeSync(fd);
  }
}

function readExactly(fd: number, into: Buffer, position: number): void {
  let done = 0;
  while (done < into.length) {
    const bytes = fs.readSync(fd, into, done, into.length - done, position + done);
    if (bytes === 0) throw new DrError('CORRUPT', 'a file became shorter while it was read');
    done += bytes;
  }
}

/** Proves an object and, with a path, writes its raw bytes there. Durable (fdatasync) on return. */
export function runExtract(task: ExtractTask): ExtractAnswer {
  const object = Buffer.from(task.object.buffer, task.object.byteOffset, task.object.byteLength);
  const expect = { id: task.id, key: keyOf(task.key) };
  if (task.path === undefined) return { rawBytes: openSegment(object, expect, () => undefined) };
  const fd = fs.openSync(task.path, 'r+');
  try {
    const rawBytes = openSegment(object, expect, (raw, offset) =>
      writeFrame(fd, raw, task.offset + offset),
    );
    fs.fdatasyncSync(fd);
    return { rawBytes };
  } finally {
    fs.closeSync(fd);
  }
}

const ZEROS = Buffer.alloc(FRAME_BYTES);

/** The file is sparse and zero already: frames of zeros stay holes. */
function writeFrame(fd: number, raw: Buffer, position: number): void {
  if (raw.equals(ZEROS.subarray(0, raw.length))) return;
  for (let done = 0; done < raw.length; ) {
    done += fs.writeSync(fd, raw, done, raw.length - done, position + done);
  }
}
