// Stores of stock brokers as small files in test/fixtures/store, one folder each:
//   files.json   every file with its size, mode of access times and the ranges that are not zero
//   ranges.gz    the bytes of all those ranges, one after the other
//   truth.json   what the broker that wrote the store served from it
// Unpacked, a file has its full size again (sparse) and its old modification time.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Questions, Served } from './stock/served.ts';

const STORES = path.resolve(import.meta.dirname, '../fixtures/store');
const PAGE_BYTES = 4_096;
const PIECE_BYTES = 1024 * PAGE_BYTES;
const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

interface PackedFile {
  path: string;
  sizeBytes: number;
  mtimeMs: number;
  /** [offset, length] of what is not zero, in whole pages but for the end. */
  ranges: [number, number][];
}

/** File sizes a broker needs to open the store. */
export interface StoreShape {
  mappedFileSizeCommitLog: number;
  mappedFileSizeConsumeQueue: number;
  maxHashSlotNum: number;
  maxIndexNum: number;
}

export interface StoreTruth {
  /** Version of the broker that wrote it. */
  version: string;
  ending: 'clean' | 'killed';
  /** The broker's address, as its records name it. */
  address: string;
  shape: StoreShape;
  questions: Questions;
  served: Served;
}

/** Names of the recorded stores, `<version>-<what>`. */
export const storeFixtures = (): string[] =>
  fs.existsSync(STORES) ? fs.readdirSync(STORES).sort() : [];

export const storeTruth = (name: string): StoreTruth =>
  JSON.parse(fs.readFileSync(path.join(STORES, name, 'truth.json'), 'utf8')) as StoreTruth;

/** When the store was recorded: its newest file, ms. */
export function recordedAtMs(name: string): number {
  const text = fs.readFileSync(path.join(STORES, name, 'files.json'), 'utf8');
  return Math.max(...(JSON.parse(text) as PackedFile[]).map((file) => file.mtimeMs));
}

/** Bytes the packed store takes in the repository. */
export const packedBytes = (name: string): number =>
  fs
    .readdirSync(path.join(STORES, name))
    .reduce((sum, file) => sum + fs.statSync(path.join(STORES, name, file)).size, 0);

/** Packs the store at `root` as the fixture `name`. */
export function packStore(name: string, root: string, truth: StoreTruth): void {
  const folder = path.join(STORES, name);
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const pieces: Buffer[] = [];
  const files = fs
    .readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => fs.statSync(path.join(root, file)).isFile())
    .sort()
    .map((file) => packFile(root, file, pieces));
  writeLines(path.join(folder, 'files.json'), files);
  fs.writeFileSync(path.join(folder, 'ranges.gz'), gzipSync(Buffer.concat(pieces), { level: 9 }));
  fs.writeFileSync(path.join(folder, 'truth.json'), `${JSON.stringify(truth, undefined, 1)}\n`);
}

/** One row a line, so that a new recording is readable as a change. */
function writeLines(file: string, rows: unknown[]): void {
  fs.writeFileSync(file, `[\n${rows.map((row) => JSON.stringify(row)).join(',\n')}\n]\n`);
}

function packFile(root: string, file: string, pieces: Buffer[]): PackedFile {
  const full = path.join(root, file);
  const { size, mtimeMs } = fs.statSync(full);
  const ranges: [number, number][] = [];
  const fd = fs.openSync(full, 'r');
  const piece = Buffer.alloc(PIECE_BYTES);
  for (let at = 0; at < size; at += PIECE_BYTES) {
    const got = fs.readSync(fd, piece, 0, PIECE_BYTES, at);
    for (let start = 0; start < got; start += PAGE_BYTES) {
      const page = piece.subarray(start, Math.min(start + PAGE_BYTES, got));
      if (page.equals(ZERO_PAGE.subarray(0, page.length))) continue;
      pieces.push(Buffer.from(page));
      const last = ranges.at(-1);
      if (last !== undefined && last[0] + last[1] === at + start) last[1] += page.length;
      else ranges.push([at + start, page.length]);
    }
  }
  fs.closeSync(fd);
  return { path: file, sizeBytes: size, mtimeMs: Math.round(mtimeMs), ranges };
}

/** Writes the fixture's files into `root`, which must not exist or be empty. */
export function unpackStore(name: string, root: string): StoreTruth {
  const folder = path.join(STORES, name);
  const text = fs.readFileSync(path.join(folder, 'files.json'), 'utf8');
  const bytes = gunzipSync(fs.readFileSync(path.join(folder, 'ranges.gz')));
  let at = 0;
  for (const file of JSON.parse(text) as PackedFile[]) {
    const full = path.join(root, file.path);
    fs.mkdirSync(path.dirname(full), { recursive: true });
    const fd = fs.openSync(full, 'wx');
    fs.ftruncateSync(fd, file.sizeBytes);
    for (const [offset, length] of file.ranges) {
      fs.writeSync(fd, bytes, at, length, offset);
      at += length;
    }
    fs.closeSync(fd);
    fs.utimesSync(full, file.mtimeMs / 1000, file.mtimeMs / 1000);
  }
  return storeTruth(name);
}

/** Unpacks into a new temporary folder; the caller removes `folder`. */
export function unpackedStore(name: string): { folder: string; root: string; truth: StoreTruth } {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-stock-store-'));
  const root = path.join(folder, 'store');
  return { folder, root, truth: unpackStore(name, root) };
}
