// Brings a store back after any end of the last run: finds where the log ends, rebuilds what is derived
// from it, and refuses to open when a record inside the log is damaged.
// Order: queues and index are cut back to what the checkpoint vouches for → the log is scanned from
// there (at least its last file) and dispatched again → the tail is judged → the log is cut.
// Four endings are told apart:
//   nothing valid behind the end         torn tail, never acknowledged by a sync flush: cut
//   valid records behind damaged bytes   CORRUPT: nothing is cut, nothing opens
//   valid records behind a page that was never written, after an abnormal end and beyond what was
//   synced (a power loss took pages out of order): set aside in a file, reported, cut
//   the same where a link wrote bytes that nobody had checked: the link brings them again
// Source: RocketMQ DefaultMessageStore.load/recover, behaviour only; the judgement is ours.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { createLog, DrError } from '../../base/index.ts';
import type { StoreLayout } from '../layout.ts';
import { mappedFileName } from '../layout.ts';
import type { LogFiles } from '../log/log-files.ts';
import type { LogState } from '../log/log-state.ts';
import type { RecordCursor } from '../log/record-bytes.ts';
import { expiredEnds, restoreEnds } from '../offline/expired-ends.ts';
import type { DeletedTopics } from '../queue/deleted-topics.ts';
import { type Dispatcher, QueueGap } from '../queue/dispatcher.ts';
import type { IndexService } from '../queue/index-service.ts';
import type { TopicTable } from '../queue/topic-table.ts';
import { type ScanResult, scanRecords, surveyTail, type TailSurvey } from '../read/log-scan.ts';
import { type Checkpoint, readCheckpoint } from './checkpoint.ts';
import { dispatchStart, isInLog } from './dispatch-start.ts';

const COPY_BYTES = 1024 * 1024;
const log = createLog('store');

export interface RecoveryParts {
  layout: StoreLayout;
  files: LogFiles;
  state: LogState;
  topics: TopicTable;
  index: IndexService | undefined;
  dispatcher: Dispatcher;
  deleted: DeletedTopics;
}

/**
 * Recovers and leaves all ends in `state`.
 * @param isAbnormal the abort marker was there
 * @returns log offset below which queues and index were on disk before; more is when it is synced
 * @throws DrError CORRUPT naming file and offset; nothing was cut then
 */
export function recover(parts: RecoveryParts, isAbnormal: boolean): number {
  const { files, state, topics } = parts;
  const checkpoint = readCheckpoint(parts.layout.checkpoint);
  topics.recover(
    isInLog(files, checkpoint.dispatchedOffset) ? checkpoint.dispatchedOffset : undefined,
  );
  parts.deleted.complete(topics);
  if (files.isEmpty) {
    wipeDerived(parts);
    state.resetTo(0);
    return 0;
  }
  const from = dispatchStart(parts, checkpoint, isAbnormal);
  const scan = rebuild(parts, from, isAbnormal);
  const survey = surveyTail(files, scan.end);
  if (survey.nextRecord >= 0) judge(parts, { scan, survey, checkpoint, isAbnormal });
  else if (isAbnormal && scan.isLastTorn) dropLast(scan, survey);
  if (survey.hasBytes) {
    log.warn('store.tail_cut', 'the torn end of the log was cut', { offset: scan.end });
    files.cut(scan.end);
  }
  for (const file of files.all) {
    if (file.start + files.fileSize > from) fs.fdatasyncSync(file.fd);
  }
  finish(parts, scan);
  return parts.dispatcher.wasRebuilt ? files.minOffset : Math.min(from, scan.end);
}

/** Cuts what is derived back to `from`, scans and dispatches again. */
function rebuild(parts: RecoveryParts, from: number, isAbnormal: boolean): ScanResult {
  const { files, topics, index, dispatcher } = parts;
  const min = files.minOffset;
  for (const queue of topics.all()) queue.cut(from);
  index?.cut(from, !isAbnormal);
  const scanFrom = Math.min(from, files.last?.start ?? from);
  dispatcher.isStrict = from > min;
  try {
    return scanRecords(files, scanFrom, (buf, record) => {
      if (record.physicalOffset >= from) {
        redispatch(parts, buf, record);
        return;
      }
      if (!parts.deleted.hidesRecord(buf, record)) dispatcher.verify(buf, record);
      parts.state.lastStoreTimestampMs = record.storeTimestampMs;
    });
  } catch (reason) {
    if (!(reason instanceof QueueGap)) throw reason;
    log.warn('store.rebuild', 'a queue lacks entries; all queues are built again', {
      queue: reason.message,
    });
    const ends = expiredEnds(topics, min);
    wipeDerived(parts);
    dispatcher.isStrict = false;
    dispatcher.wasRebuilt = true;
    const scan = scanRecords(files, min, (buf, record) => redispatch(parts, buf, record));
    restoreEnds(topics, ends);
    return scan;
  } finally {
    dispatcher.isStrict = false;
  }
}

function redispatch(parts: RecoveryParts, buf: Buffer, record: RecordCursor): void {
  if (parts.deleted.hidesRecord(buf, record)) parts.dispatcher.pass(record);
  else parts.dispatcher.dispatch(buf, record);
}

function wipeDerived(parts: RecoveryParts): void {
  for (const queue of parts.topics.all()) queue.wipe();
  parts.index?.cut(0, true);
}

/** The last write was cut inside the text behind the body. */
function dropLast(scan: ScanResult, survey: TailSurvey): void {
  scan.end = scan.lastRecord;
  scan.lastRecord = scan.previousRecord;
  survey.hasBytes = true;
}

interface Finding {
  scan: ScanResult;
  survey: TailSurvey;
  checkpoint: Checkpoint;
  isAbnormal: boolean;
}

function judge(parts: RecoveryParts, finding: Finding): void {
  const { scan, survey, checkpoint, isAbnormal } = finding;
  const { uncheckedOffset } = checkpoint;
  const isUnchecked = uncheckedOffset !== undefined && scan.end >= uncheckedOffset;
  const wasSynced = checkpoint.flushedOffset === undefined || scan.end < checkpoint.flushedOffset;
  const isHole = isAbnormal && !wasSynced && survey.hasHole;
  if (!isUnchecked && !isHole) throw damaged(parts.files, scan.end, survey);
  const file = setAside(parts, scan.end, survey.lastEnd);
  const why = isUnchecked ? 'unchecked bytes of the link are damaged' : 'pages were never written';
  log.error('store.tail_set_aside', `${why}; what follows was kept`, {
    offset: scan.end,
    damaged: parts.files.find(scan.end)?.path,
    bytes: survey.lastEnd - scan.end,
    file,
  });
}

function damaged(files: LogFiles, offset: number, survey: TailSurvey): DrError {
  const file = files.find(offset)?.path ?? files.folder;
  const next = survey.nextRecord;
  return new DrError(
    'CORRUPT',
    `${file}: damaged record at offset ${offset}; valid records follow from ${next}`,
    {
      hint: 'nothing was changed; repair the file from a replica or a backup, then start again',
      context: { file, offset, nextValidOffset: next, lastValidEnd: survey.lastEnd },
    },
  );
}

/** Copies log bytes [from, to) into a file beside the log; durable on return. */
function setAside(
  parts: { layout: StoreLayout; files: LogFiles },
  from: number,
  to: number,
): string {
  fs.mkdirSync(parts.layout.setAside, { recursive: true });
  const name = `${mappedFileName(from)}-${Date.now()}.log`;
  const file = path.join(parts.layout.setAside, name);
  const fd = fs.openSync(file, 'wx');
  try {
    const chunk = Buffer.alloc(COPY_BYTES);
    for (let at = from; at < to; ) {
      const wanted = Math.min(chunk.length, to - at, parts.files.leftAt(at));
      const count = parts.files.readSync(at, chunk.subarray(0, wanted));
      if (count === 0) break;
      fs.writeSync(fd, chunk, 0, count);
      at += count;
    }
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  return file;
}

function finish(parts: RecoveryParts, scan: ScanResult): void {
  const { files, state, topics } = parts;
  state.resetTo(scan.end);
  state.lastRecord = scan.lastRecord;
  if (state.lastRecord < 0 && scan.end > files.minOffset) {
    const before = files.startOf(scan.end - 1);
    state.lastRecord = scanRecords(files, before).lastRecord;
  }
  // Why again: the checkpoint may vouch for more than the log still has.
  parts.index?.cut(scan.end, true);
  for (const queue of topics.all()) {
    queue.cut(scan.end);
    queue.trimTo(files.minOffset);
  }
}
