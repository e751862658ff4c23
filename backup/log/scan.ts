// Walks the records of log files in order, with every CRC checked.
// Reads 1 MiB at a time and yields to the event loop between reads, because a daemon that runs a
// backup also serves a broker. A record that does not fit is read again from its start, larger.
import * as fs from 'node:fs';
import {
  emptyView,
  RECORD_BYTES_MAX,
  type RecordKind,
  type RecordView,
  readRecord,
} from './record.ts';

export interface ScanVisit {
  view: RecordView;
  bytes: Buffer;
  physicalOffset: number;
}

/** Return false to stop before this record. */
export type Visitor = (visit: ScanVisit) => boolean | undefined;

export interface FileScan {
  /** Physical offset behind the last valid record; the file's end when it was rolled or full. */
  end: number;
  records: number;
  /** What stopped the scan: full or blank = whole file; stopped = the visitor said so. */
  stop: RecordKind | 'full' | 'stopped';
  firstStoreTimestampMs: number | undefined;
  lastStoreTimestampMs: number | undefined;
}

export interface ScanInput {
  path: string;
  startOffset: number;
  /** Bytes of the file that may hold records. */
  sizeBytes: number;
  /** Physical offset of the record to begin with; default: the file's first. */
  from?: number;
  /** Default true. False walks the structure without the CRCs of the bodies. */
  checkBody?: boolean;
}

const READ_BYTES = 1024 * 1024;

/** Scans one file from its start. */
export async function scanFile(input: ScanInput, visitor: Visitor): Promise<FileScan> {
  const handle = await fs.promises.open(input.path, 'r');
  try {
    return await new FileScanner(handle, input, visitor).run();
  } finally {
    await handle.close();
  }
}

class FileScanner {
  readonly #handle: fs.promises.FileHandle;
  readonly #input: ScanInput;
  readonly #visitor: Visitor;
  readonly #view = emptyView();
  #buffer = Buffer.allocUnsafe(READ_BYTES);
  /** Position in the file of the first byte of the buffer, and the bytes it holds. */
  #base = 0;
  #filled = 0;
  readonly #result: FileScan;

  constructor(handle: fs.promises.FileHandle, input: ScanInput, visitor: Visitor) {
    this.#handle = handle;
    this.#input = input;
    this.#visitor = visitor;
    this.#result = {
      end: input.from ?? input.startOffset,
      records: 0,
      stop: 'full',
      firstStoreTimestampMs: undefined,
      lastStoreTimestampMs: undefined,
    };
  }

  async run(): Promise<FileScan> {
    let at = this.#result.end - this.#input.startOffset;
    while (at < this.#input.sizeBytes) {
      await this.#fill(at);
      const next = this.#walk(at);
      if (next === undefined) return this.#result;
      if (next === at && !this.#grow()) return this.#stopAt('invalid');
      at = next;
    }
    return this.#result;
  }

  /** Visits whole records of the buffer; the position of the first that is cut, or undefined at the end. */
  #walk(from: number): number | undefined {
    let at = from;
    const end = this.#base + this.#filled;
    while (at < end) {
      const place = {
        bytes: this.#buffer,
        at: at - this.#base,
        end: this.#filled,
        physicalOffset: this.#input.startOffset + at,
        checkBody: this.#input.checkBody ?? true,
      };
      const kind = readRecord(place, this.#view);
      if (kind === 'short') return this.#isTail(end) ? this.#end('invalid') : at;
      if (kind === 'blank') return this.#endOfFile(at);
      if (kind !== 'record') return this.#end(kind);
      if (!this.#visit(place.physicalOffset)) return this.#end('stopped');
      at += this.#view.sizeBytes;
      this.#result.end = this.#input.startOffset + at;
    }
    return at;
  }

  #visit(physicalOffset: number): boolean {
    const visit = { view: this.#view, bytes: this.#buffer, physicalOffset };
    if (this.#visitor(visit) === false) return false;
    this.#result.records += 1;
    this.#result.firstStoreTimestampMs ??= this.#view.storeTimestampMs;
    this.#result.lastStoreTimestampMs = this.#view.storeTimestampMs;
    return true;
  }

  /** A blank marker must span exactly the rest of the file. */
  #endOfFile(at: number): undefined {
    if (at + this.#view.sizeBytes !== this.#input.sizeBytes) return this.#end('invalid');
    this.#result.end = this.#input.startOffset + this.#input.sizeBytes;
    return this.#end('blank');
  }

  #end(stop: FileScan['stop']): undefined {
    this.#result.stop = stop;
    return undefined;
  }

  #stopAt(stop: FileScan['stop']): FileScan {
    this.#result.stop = stop;
    return this.#result;
  }

  #isTail(end: number): boolean {
    return end >= this.#input.sizeBytes;
  }

  #grow(): boolean {
    if (this.#buffer.length > RECORD_BYTES_MAX) return false;
    this.#buffer = Buffer.allocUnsafe(this.#buffer.length * 4);
    this.#filled = 0;
    return true;
  }

  async #fill(at: number): Promise<void> {
    const want = Math.min(this.#buffer.length, this.#input.sizeBytes - at);
    let done = 0;
    while (done < want) {
      const part = await this.#handle.read(this.#buffer, done, want - done, at + done);
      if (part.bytesRead === 0) break;
      done += part.bytesRead;
    }
    this.#base = at;
    this.#filled = done;
    // The file is shorter than said: what is missing can hold no record.
    if (done < want) this.#buffer.fill(0, done, want);
    this.#filled = want;
  }
}
