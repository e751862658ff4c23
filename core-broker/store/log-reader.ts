// Reads the commit log of a store that nobody has open: no lock, no write, no assumption about queues.
// For backup verify, reconcile and dumps. A live store may be read too; then the end is where the last
// whole record was at the moment of reading.
// Invariant: it ends where valid records end, and throws CORRUPT when more valid records follow there.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DrError } from '../base/index.ts';
import type { ScannedRecord } from './door.ts';
import { mappedFileName, storeLayout } from './layout.ts';
import { listLogFiles } from './log/log-files.ts';
import { RecordCursor } from './log/record-bytes.ts';
import { type ScannedLog, scanRecords, surveyTail } from './read/log-scan.ts';
import { toScannedRecord } from './read/record-stream.ts';

const PIECE_BYTES = 1024 * 1024;

export interface LogReader {
  readonly fileSize: number;
  /** Start of the first file; 0 when there is none. */
  readonly minOffset: number;
  /**
   * Records that begin in [from, to), in log order. `from` = a record boundary; default: all.
   * @throws DrError NOT_FOUND (from outside the files), CORRUPT (file and offset in the context)
   */
  scan(from?: number, to?: number): AsyncIterable<ScannedRecord>;
  /** End of the valid records. @throws DrError CORRUPT when valid ones follow behind a damaged one */
  end(): number;
  close(): void;
}

export interface LogReaderOptions {
  /** The commit log when it is not `<dir>/commitlog`. */
  commitLogDir?: string;
}

/**
 * Opens the log of a store directory for reading.
 * @throws DrError NOT_FOUND without a commit log, CORRUPT for wrong names or sizes
 */
export function openLogReader(dir: string, options: LogReaderOptions = {}): LogReader {
  const folder = storeLayout(dir, options.commitLogDir).commitLog;
  if (!fs.existsSync(folder)) throw new DrError('NOT_FOUND', `${folder}: no commit log here`);
  return new FolderLogReader(folder);
}

class FolderLogReader implements LogReader, ScannedLog {
  readonly fileSize: number;
  readonly minOffset: number;
  readonly limit: number;
  readonly #folder: string;
  #open: { start: number; fd: number } | undefined;

  constructor(folder: string) {
    this.#folder = folder;
    const names = fs.readdirSync(folder).filter((name) => /^\d{20}$/.test(name));
    const first = names.sort()[0];
    this.fileSize = first === undefined ? 0 : fs.statSync(path.join(folder, first)).size;
    const starts = listLogFiles(folder, this.fileSize);
    this.minOffset = starts[0] ?? 0;
    this.limit = starts.length === 0 ? 0 : (starts.at(-1) as number) + this.fileSize;
  }

  readSync(offset: number, into: Buffer): number {
    const start = offset - (offset % this.fileSize);
    if (this.#open?.start !== start) {
      this.close();
      this.#open = { start, fd: fs.openSync(path.join(this.#folder, mappedFileName(start)), 'r') };
    }
    return fs.readSync(this.#open.fd, into, 0, into.length, offset - start);
  }

  end(): number {
    const scan = scanRecords(this, this.minOffset);
    this.#checkTail(scan.end);
    return scan.end;
  }

  async *scan(from = this.minOffset, to = Number.MAX_SAFE_INTEGER): AsyncGenerator<ScannedRecord> {
    if (from < this.minOffset || from > this.limit) {
      throw new DrError('NOT_FOUND', `offset ${from} is not in ${this.#folder}`);
    }
    const cursor = new RecordCursor();
    let offset = from;
    let wanted = PIECE_BYTES;
    while (offset < Math.min(to, this.limit)) {
      const left = this.fileSize - (offset % this.fileSize);
      const piece = Buffer.allocUnsafe(Math.min(wanted, left));
      const length = this.readSync(offset, piece);
      const before = offset;
      for (let at = 0; offset < to; at += cursor.size) {
        const fileLeft = this.fileSize - (offset % this.fileSize);
        const kind = cursor.read(piece, at, length, fileLeft);
        if (kind === 'partial' && at + fileLeft > length) break;
        if (kind === 'blank') {
          offset += fileLeft;
          break;
        }
        if (kind !== 'record' || cursor.physicalOffset !== offset || !cursor.isSound(piece)) {
          this.#checkTail(offset);
          return;
        }
        offset += cursor.size;
        yield toScannedRecord(piece, cursor);
      }
      // A record larger than the piece needs a larger piece.
      if (offset > before) wanted = PIECE_BYTES;
      else if (length < piece.length || piece.length === left) return this.#checkTail(offset);
      else wanted *= 2;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  close(): void {
    if (this.#open !== undefined) fs.closeSync(this.#open.fd);
    this.#open = undefined;
  }

  #checkTail(end: number): void {
    if (end >= this.limit) return;
    const survey = surveyTail(this, end);
    if (survey.nextRecord < 0) return;
    const file = path.join(this.#folder, mappedFileName(end - (end % this.fileSize)));
    throw new DrError(
      'CORRUPT',
      `${file}: damaged record at offset ${end}; valid records follow from ${survey.nextRecord}`,
      { context: { file, offset: end, nextValidOffset: survey.nextRecord } },
    );
  }
}
