// Walks log files record by record, synchronously, in large reads: recovery, rebuilds and offline
// readers. It stops at the first thing that is no valid record and then says what lies behind it,
// because "the end of the log" and "a damaged record with good ones behind" look alike from the front.
// Source: RocketMQ CommitLog.checkMessageAndReturnSize, behaviour only; the survey is ours.
import { RecordCursor } from '../log/record-bytes.ts';

const CHUNK_BYTES = 4 * 1024 * 1024;
const PAGE_BYTES = 4096;
const MAGIC_PREFIX = Buffer.from([0xda, 0xa3, 0x20]);

/** What a scan needs to know of a log: an open store or a closed folder. */
export interface ScannedLog {
  readonly fileSize: number;
  readonly minOffset: number;
  /** End of the last file. */
  readonly limit: number;
  /** Body checksums are not compared. */
  readonly skipsBodyCrc?: boolean;
  /** The checksum in the properties is compared, too. */
  readonly comparesRecordCrc?: boolean;
  readSync(offset: number, into: Buffer): number;
}

export interface ScanResult {
  /** Where the valid records end. */
  end: number;
  /** Offset of the last valid record seen, -1 when none was. */
  lastRecord: number;
  /** The one before it. */
  previousRecord: number;
  /**
   * The last record ends in zeros where text must end: its CRC covers the body only, so a write that
   * was cut inside the properties leaves a record that looks valid.
   */
  isLastTorn: boolean;
}

/** What lies behind the end of a scan. */
export interface TailSurvey {
  hasBytes: boolean;
  /** First valid record behind the end, -1 = none: then the end is the end. */
  nextRecord: number;
  /** End of the last valid record behind the end. */
  lastEnd: number;
  /** Bytes before nextRecord were never written: a whole page, or everything right up to it. */
  hasHole: boolean;
}

const leftAt = (log: ScannedLog, offset: number): number => log.fileSize - (offset % log.fileSize);

/**
 * Walks valid records from `from` (a record boundary) and shows each one in its buffer.
 * @param to  no record that begins here or later is looked at; default: the end of the last file
 */
export function scanRecords(
  log: ScannedLog,
  from: number,
  onRecord?: (buf: Buffer, record: RecordCursor) => void,
  to = log.limit,
): ScanResult {
  const cursor = new RecordCursor(log.comparesRecordCrc);
  const result: ScanResult = {
    end: from,
    lastRecord: -1,
    previousRecord: -1,
    isLastTorn: false,
  };
  let chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, log.fileSize));
  let base = from;
  let length = 0;
  while (result.end < to) {
    const left = leftAt(log, result.end);
    const kind = cursor.read(chunk, result.end - base, length, left);
    if (kind === 'record') {
      if (cursor.physicalOffset !== result.end) return result;
      if (!log.skipsBodyCrc && !cursor.isSound(chunk)) return result;
      onRecord?.(chunk, cursor);
      result.previousRecord = result.lastRecord;
      result.lastRecord = result.end;
      result.isLastTorn = cursor.endsInZeros(chunk);
      result.end += cursor.size;
    } else if (kind === 'blank') {
      result.end += left;
    } else if (length - (result.end - base) >= Math.min(left, chunk.length)) {
      // All there is was looked at: a record larger than the chunk needs a larger chunk.
      if (kind === 'bad' || chunk.length >= left) return result;
      chunk = Buffer.allocUnsafe(Math.min(chunk.length * 2, log.fileSize));
      length = 0;
    } else if (length > 0 && (base === result.end || kind === 'bad')) {
      // Bytes that were looked at and are no record, or a file that is shorter than it should be.
      if (base === result.end || length - (result.end - base) >= 8) return result;
      length = 0;
    } else {
      base = result.end;
      length = log.readSync(base, chunk.subarray(0, Math.min(chunk.length, left)));
      if (length < 8) return result;
    }
  }
  return result;
}

/** Looks behind the end of a scan for bytes and for records that are still valid. */
export function surveyTail(log: ScannedLog, end: number): TailSurvey {
  const survey: TailSurvey = { hasBytes: false, nextRecord: -1, lastEnd: end, hasHole: false };
  const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, log.fileSize));
  const zeros = Buffer.alloc(chunk.length);
  let at = end;
  while (at < log.limit) {
    const length = log.readSync(at, chunk.subarray(0, Math.min(chunk.length, leftAt(log, at))));
    if (length === 0) break;
    const bytes = chunk.subarray(0, length);
    if (!bytes.equals(zeros.subarray(0, length))) {
      survey.hasBytes = true;
      searchChunk(log, { bytes, offset: at }, survey);
    }
    // Why the overlap: a magic may lie across two chunks of one file.
    const isFileEnd = length === leftAt(log, at);
    at += isFileEnd || length < 16 ? length : length - 8;
  }
  if (survey.nextRecord >= 0) survey.hasHole = hasHole(log, end, survey.nextRecord);
  return survey;
}

function searchChunk(
  log: ScannedLog,
  chunk: { bytes: Buffer; offset: number },
  survey: TailSurvey,
): void {
  const { bytes, offset } = chunk;
  for (let at = bytes.indexOf(MAGIC_PREFIX); at >= 0; at = bytes.indexOf(MAGIC_PREFIX, at + 1)) {
    const start = offset + at - 4;
    if (start < survey.lastEnd) continue;
    const size = validRecordAt(log, start);
    if (size === 0) continue;
    if (survey.nextRecord < 0) survey.nextRecord = start;
    survey.lastEnd = start + size;
  }
}

/** Size of the valid record at `offset`, 0 when there is none. */
function validRecordAt(log: ScannedLog, offset: number): number {
  const left = leftAt(log, offset);
  const head = Buffer.alloc(Math.min(8, left));
  if (log.readSync(offset, head) < 8) return 0;
  const size = head.readInt32BE(0);
  if (size <= 0 || size > left) return 0;
  const bytes = Buffer.allocUnsafe(size);
  if (log.readSync(offset, bytes) < size) return 0;
  const cursor = new RecordCursor(log.comparesRecordCrc);
  const isRecord = cursor.read(bytes, 0, size, left) === 'record';
  return isRecord && cursor.physicalOffset === offset && cursor.isSound(bytes) ? size : 0;
}

/**
 * True when [from, to) looks never written rather than damaged: it holds a whole page of zeros (pages
 * reach the disk in any order), or it is zero from its start or from a page boundary up to `to` (one of
 * two writes in flight did not happen).
 */
function hasHole(log: ScannedLog, from: number, to: number): boolean {
  const page = Buffer.alloc(PAGE_BYTES);
  const zeros = Buffer.alloc(PAGE_BYTES);
  let isZeroToEnd = false;
  for (let at = from; at < to; ) {
    const next = Math.min(to, (Math.floor(at / PAGE_BYTES) + 1) * PAGE_BYTES);
    const part = page.subarray(0, next - at);
    isZeroToEnd =
      log.readSync(at, part) === part.length && part.equals(zeros.subarray(0, next - at));
    if (isZeroToEnd && next - at === PAGE_BYTES) return true;
    at = next;
  }
  return isZeroToEnd;
}
