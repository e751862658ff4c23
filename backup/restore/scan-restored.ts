// Proves a restored log by walking every record, finds the exact cut, and collects the queues' ends.
// Invariant: without a cut the walk must end exactly where the manifest says; anything else is damage.
import * as path from 'node:path';
import { DrError } from '../../core-broker/base/index.ts';
import { type FileScan, isInQueue, type ScanVisit, scanFile } from '../log/index.ts';
import { DeliveryTracker } from './delivered.ts';
import { isBeyond, type RestoreCut, type RestorePlan } from './plan.ts';

export interface QueueSpan {
  topic: string;
  queueId: number;
  /** First queue offset in the log, and the next one. */
  first: number;
  max: number;
}

export interface RestoredLog {
  /** Behind the last record kept. */
  end: number;
  records: number;
  queues: Map<string, QueueSpan>;
  /** Queues that begin behind the cut only: where they will go on. */
  begunLater: Map<string, QueueSpan>;
  /** Queue offsets that do not follow each other: `topic@queue: from -> to`. */
  breaks: string[];
  delivered: DeliveryTracker;
  lastStoreTimestampMs: number | undefined;
}

const BATCH_FLAG = 0x80;
export const queueName = (topic: string, queueId: number): string => `${topic}@${queueId}`;

/**
 * @param folder  the restored commit log
 * @throws DrError CORRUPT naming file and offset of the first byte that is no record
 */
export async function scanRestored(folder: string, plan: RestorePlan): Promise<RestoredLog> {
  const found: RestoredLog = {
    end: plan.files[0]?.startOffset ?? 0,
    records: 0,
    queues: new Map(),
    begunLater: new Map(),
    breaks: [],
    delivered: new DeliveryTracker(),
    lastStoreTimestampMs: undefined,
  };
  let isCut = false;
  for (const file of plan.files) {
    const input = {
      path: path.join(folder, file.name),
      startOffset: file.startOffset,
      sizeBytes: file.dataBytes,
    };
    const scan = await scanFile(input, (visit) => {
      isCut ||= isBeyond(plan.cut, recordOf(visit));
      if (isCut) countLater(found, visit);
      else count(found, visit, plan.cut);
      return true;
    });
    requireWhole(scan, input, isCut || isAtCut(scan, plan.cut));
    if (!isCut) found.end = scan.end;
  }
  return found;
}

/** A cut exactly where damage begins: every record before it was there. */
const isAtCut = (scan: FileScan, cut: RestoreCut): boolean =>
  cut !== undefined && 'toOffset' in cut && scan.end >= cut.toOffset;

const recordOf = ({ view, physicalOffset }: ScanVisit) => ({
  end: physicalOffset + view.sizeBytes,
  storeTimestampMs: view.storeTimestampMs,
});

function count(found: RestoredLog, visit: ScanVisit, cut: RestoreCut): void {
  const { view } = visit;
  found.records += 1;
  found.end = visit.physicalOffset + view.sizeBytes;
  found.lastStoreTimestampMs = view.storeTimestampMs;
  if (!isInQueue(view.sysFlag)) return;
  const topic = topicOf(visit);
  if (cut) found.delivered.visit(visit, topic);
  const name = queueName(topic, view.queueId);
  const known = found.queues.get(name);
  const next = view.queueOffset + 1;
  if (!known) {
    found.queues.set(name, { topic, queueId: view.queueId, first: view.queueOffset, max: next });
    return;
  }
  const isBatch = (view.sysFlag & BATCH_FLAG) !== 0;
  if (view.queueOffset !== known.max && !isBatch && found.breaks.length < 100) {
    found.breaks.push(`${name}: ${known.max} -> ${view.queueOffset}`);
  }
  known.max = Math.max(known.max, next);
}

function countLater(found: RestoredLog, visit: ScanVisit): void {
  const { view } = visit;
  if (!isInQueue(view.sysFlag)) return;
  const topic = topicOf(visit);
  const name = queueName(topic, view.queueId);
  if (found.queues.has(name) || found.begunLater.has(name)) return;
  const first = view.queueOffset;
  found.begunLater.set(name, { topic, queueId: view.queueId, first, max: first });
}

const topicOf = ({ view, bytes }: ScanVisit): string =>
  bytes.toString('utf8', view.topicStart, view.topicStart + view.topicLength);

function requireWhole(
  scan: FileScan,
  input: { path: string; startOffset: number; sizeBytes: number },
  isCut: boolean,
): void {
  const expected = input.startOffset + input.sizeBytes;
  if (isCut || scan.end === expected) return;
  throw new DrError(
    'CORRUPT',
    `${path.basename(input.path)}: no valid record at ${scan.end} (${scan.stop})`,
    {
      hint: `restore what is before it with --to-offset ${scan.end}`,
      context: { file: path.basename(input.path), offset: scan.end },
    },
  );
}
