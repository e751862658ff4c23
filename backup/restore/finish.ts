// The small files of a restored store: offsets clamped to the restored log, the ends of queues that
// have no record in it, the abort marker. Never: checkpoint, index, drEpoch.
// Why abort: a broker that finds it rebuilds queues and index from the log; 5.x would otherwise serve
// nothing that the queues lack.
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  CONSUME_QUEUE_FILE_BYTES,
  clampConsumerOffsets,
  clampDelayOffsets,
  parseLooseJson,
  type QueueMax,
  type QueueState,
  writeEmptyQueue,
} from '../log/index.ts';
import type { Manifest } from '../manifest.ts';
import { QUEUES_ENTRY } from '../snapshot/index.ts';
import type { RestoreCut } from './plan.ts';
import { queueName, type RestoredLog } from './scan-restored.ts';

export interface FinishInput {
  storeDir: string;
  manifest: Manifest;
  /** Content of every metadata entry, by its path. */
  metadata: ReadonlyMap<string, Buffer>;
  log: RestoredLog;
  cut: RestoreCut;
}

export interface FinishResult {
  clampedOffsets: number;
  /** Queues whose start lies behind everything the log holds. */
  queuesKept: number;
}

export function finishStore(input: FinishInput): FinishResult {
  const kept = endsWithoutRecords(input);
  for (const state of kept) writeEmptyQueue(path.join(input.storeDir, 'consumequeue'), state);
  const ends = new Map(kept.map((state) => [queueName(state.topic, state.queueId), state.max]));
  for (const [name, span] of input.log.queues) ends.set(name, span.max);
  const max: QueueMax = (topic, queueId) => ends.get(queueName(topic, queueId)) ?? 0;
  let clampedOffsets = 0;
  for (const [name, content] of input.metadata) {
    if (name === QUEUES_ENTRY) continue;
    const clamped = clampFile(name, content, { max, input });
    clampedOffsets += clamped.count;
    writeFile(input, name, clamped.content);
  }
  fs.writeFileSync(path.join(input.storeDir, 'abort'), '');
  return { clampedOffsets, queuesKept: kept.length };
}

/**
 * Queues without a record in the restored log, and where they go on: behind what was purged before the
 * backup, or at their first record behind the cut. A queue that begins at 0 needs nothing.
 */
function endsWithoutRecords(input: FinishInput): QueueState[] {
  const text = input.metadata.get(QUEUES_ENTRY)?.toString('utf8') ?? '[]';
  const stored = parseLooseJson(text, QUEUES_ENTRY) as QueueState[];
  const kept = new Map<string, QueueState>();
  const fileBytes = stored[0]?.fileBytes ?? CONSUME_QUEUE_FILE_BYTES;
  for (const { topic, queueId, first } of input.log.begunLater.values()) {
    const last = { lastPhysicalOffset: 0, lastSizeBytes: 1 };
    kept.set(queueName(topic, queueId), {
      topic,
      queueId,
      min: first,
      max: first,
      ...last,
      fileBytes,
    });
  }
  for (const state of stored) {
    const isPurged = state.min === state.max;
    const last = isPurged ? {} : { lastPhysicalOffset: 0, lastSizeBytes: 1 };
    kept.set(queueName(state.topic, state.queueId), { ...state, max: state.min, ...last });
  }
  return [...kept.values()].filter(
    (state) => state.max > 0 && !input.log.queues.has(queueName(state.topic, state.queueId)),
  );
}

function clampFile(
  name: string,
  content: Buffer,
  facts: { max: QueueMax; input: FinishInput },
): { content: Buffer; count: number } {
  const text = content.toString('utf8');
  if (name === 'config/consumerOffset.json') {
    const { text: clamped, clamps } = clampConsumerOffsets(text, facts.max);
    return { content: clamps.length > 0 ? Buffer.from(clamped) : content, count: clamps.length };
  }
  if (name !== 'config/delayOffset.json') return { content, count: 0 };
  const { text: clamped, clamps } = clampDelayOffsets(text, delayMax(facts));
  return { content: clamps.length > 0 ? Buffer.from(clamped) : content, count: clamps.length };
}

function delayMax({ max, input }: { max: QueueMax; input: FinishInput }): QueueMax {
  if (!input.cut) return max;
  const undelivered = input.log.delivered.firstUndelivered();
  return (topic, queueId) =>
    Math.min(max(topic, queueId), undelivered.get(queueId) ?? Number.POSITIVE_INFINITY);
}

function writeFile(input: FinishInput, name: string, content: Buffer): void {
  const file = path.join(input.storeDir, ...name.split('/'));
  fs.mkdirSync(path.dirname(file), { recursive: true });
  const fd = fs.openSync(file, 'w');
  try {
    fs.writeFileSync(fd, content);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
