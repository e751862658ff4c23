// All records of a stretch of log, in order, for statements, exports and digests. Reads in large
// pieces; a damaged record ends the stream with CORRUPT, it is never stepped over.
import { DrError } from '../../base/index.ts';
import type { ScannedRecord } from '../door.ts';
import type { LogFiles } from '../log/log-files.ts';
import { RecordCursor } from '../log/record-bytes.ts';
import type { LogView } from './log-view.ts';

const PIECE_BYTES = 1024 * 1024;

export function toScannedRecord(bytes: Buffer, record: RecordCursor): ScannedRecord {
  const { at, size, topicStart, topicLength } = record;
  return {
    offset: record.physicalOffset,
    sizeBytes: size,
    topic: bytes.toString('utf8', topicStart, topicStart + topicLength),
    queueId: record.queueId,
    queueOffset: record.queueOffset,
    storeTimestampMs: record.storeTimestampMs,
    bytes: bytes.subarray(at, at + size),
  };
}

/** Records that begin in [from, to); `from` must be a record boundary. */
export async function* scannedRecords(
  parts: { view: LogView; files: LogFiles },
  from: number,
  to: number,
): AsyncGenerator<ScannedRecord> {
  const { view, files } = parts;
  const cursor = new RecordCursor(files.comparesRecordCrc);
  let wanted = PIECE_BYTES;
  let offset = from;
  while (offset < to) {
    const piece = await view.raw(offset, wanted);
    if (piece === undefined) return;
    let at = 0;
    while (offset < to) {
      const left = files.leftAt(offset);
      const kind = cursor.read(piece, at, piece.length, left);
      if (kind === 'blank') {
        offset += left;
        break;
      }
      if (kind === 'partial') break;
      if (kind === 'bad' || cursor.physicalOffset !== offset || !cursor.isSound(piece)) {
        throw view.corrupt(offset, 'no valid record');
      }
      at += cursor.size;
      offset += cursor.size;
      yield toScannedRecord(piece, cursor);
    }
    if (at > 0 || cursor.size === files.leftAt(offset)) wanted = PIECE_BYTES;
    else if (piece.length < wanted) throw new DrError('CORRUPT', `no whole record at ${offset}`);
    else wanted *= 2;
  }
}
