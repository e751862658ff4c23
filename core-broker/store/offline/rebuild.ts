// Builds consume queues and index of a closed store again, from the first record of its log to the end:
// after files were lost, damaged or left behind by a copy of the log alone.
// Order: abort marker and a checkpoint that vouches for no queue → old queues and index deleted → built →
// synced → checkpoint → marker as it was. A crash in between leaves a store whose next boot builds all.
// Invariant: the log itself is not touched.
import * as fs from 'node:fs';
import { DrError, fsyncFolderSync } from '../../base/index.ts';
import { type Checkpoint, readCheckpoint, writeCheckpoint } from '../boot/checkpoint.ts';
import { StoreLock } from '../boot/store-lock.ts';
import { LogState } from '../log/log-state.ts';
import { DeletedTopics } from '../queue/deleted-topics.ts';
import { DelayLevels } from '../queue/digest/delay-levels.ts';
import { Dispatcher, type RowRun } from '../queue/dispatcher.ts';
import { surveyTail } from '../read/log-scan.ts';
import { type ClosedStore, type ClosedStoreOptions, openClosedStore } from './closed-store.ts';
import { type OnDigest, walkDigests } from './digest-walk.ts';
import { expiredEnds, restoreEnds } from './expired-ends.ts';

export interface RebuildOptions extends ClosedStoreOptions {
  /** Told after each 64 MiB of log. */
  onProgress?: (doneBytes: number, totalBytes: number) => void;
  signal?: AbortSignal;
}

export interface RebuildReport {
  fromOffset: number;
  /** End of the valid records. */
  endOffset: number;
  records: number;
  queues: number;
  /** Queues without a message in the log that go on where they were. */
  emptyQueues: number;
  elapsedMs: number;
  bytesPerSecond: number;
  /** Bytes behind the end that are no record: a torn tail, left for the next boot to cut. */
  hasTornTail: boolean;
}

/**
 * Rebuilds `<root>/consumequeue` and `<root>/index`. Durable on return.
 * @throws DrError NOT_FOUND (no log), LOCKED (store in use), CORRUPT (valid records follow a damaged one:
 *   queues reach up to it; file and offset in the context), CANCELLED (the next boot builds the queues)
 */
export async function rebuildQueues(
  rootDir: string,
  options: RebuildOptions = {},
): Promise<RebuildReport> {
  const store = openClosedStore(rootDir, options);
  try {
    const lock = StoreLock.take(store.layout);
    try {
      return await rebuild(store, options);
    } finally {
      lock.release();
    }
  } finally {
    store.close();
  }
}

async function rebuild(store: ClosedStore, options: RebuildOptions): Promise<RebuildReport> {
  const { layout, files, topics, index } = store;
  const startMs = performance.now();
  const wasRunning = fs.existsSync(layout.abort);
  const before = readCheckpoint(layout.checkpoint);
  topics.recover();
  const ends = expiredEnds(topics, files.minOffset);
  forgetDerived(store, before);
  const state = new LogState();
  const delays = new DelayLevels(store.messageDelayLevel);
  const dispatcher = new Dispatcher(topics, state, { delays, index });
  const deleted = new DeletedTopics(layout.drDeletedTopics);
  let records = 0;
  const one: OnDigest = (topic, digest) => {
    if (deleted.hides(topic.name, digest.physicalOffset)) dispatcher.pass(digest);
    else dispatcher.enter(topic, digest);
    records++;
  };
  const many = (run: RowRun): void => {
    const { left } = run;
    dispatcher.enterRun(run);
    records += left - run.left;
  };
  const { onProgress, signal } = options;
  const sink = deleted.isEmpty ? { enter: one, enterRun: many } : { enter: one };
  const walk = { state, hasIndex: index !== undefined, onProgress, signal };
  const end = await walkDigests(store, sink, walk);
  restoreEnds(topics, ends);
  topics.writeOutNow();
  await topics.files.sync();
  await index?.flush(true);
  const survey = surveyTail(files, end);
  const isDamaged = survey.nextRecord >= 0;
  writeCheckpoint(layout.checkpoint, {
    physicMsgTimestampMs: state.lastStoreTimestampMs,
    logicsMsgTimestampMs: state.lastStoreTimestampMs,
    indexMsgTimestampMs: index?.safeTimestampMs ?? 0,
    flushedOffset: before.flushedOffset ?? end,
    dispatchedOffset: end,
    uncheckedOffset: before.uncheckedOffset,
  });
  if (!wasRunning && !isDamaged) {
    fs.rmSync(layout.abort, { force: true });
    fsyncFolderSync(layout.root);
  }
  if (isDamaged) throw damaged(store, end, survey.nextRecord);
  const elapsedMs = performance.now() - startMs;
  return {
    fromOffset: files.minOffset,
    endOffset: end,
    records,
    queues: [...topics.all()].filter((queue) => queue.exists).length,
    emptyQueues: ends.length,
    elapsedMs: Math.round(elapsedMs),
    bytesPerSecond: Math.round((end - files.minOffset) / (elapsedMs / 1000)),
    hasTornTail: survey.hasBytes,
  };
}

/** From here on a boot would build everything again. */
function forgetDerived({ layout, files, topics }: ClosedStore, before: Checkpoint): void {
  fs.writeFileSync(layout.abort, String(process.pid));
  writeCheckpoint(layout.checkpoint, {
    physicMsgTimestampMs: 0,
    logicsMsgTimestampMs: 0,
    indexMsgTimestampMs: 0,
    flushedOffset: before.flushedOffset ?? 0,
    dispatchedOffset: files.minOffset,
    uncheckedOffset: before.uncheckedOffset,
  });
  fsyncFolderSync(layout.root);
  for (const queue of topics.all()) queue.wipe();
  fs.rmSync(layout.index, { recursive: true, force: true });
}

function damaged({ files }: ClosedStore, offset: number, nextRecord: number): DrError {
  const file = files.find(offset)?.path ?? files.folder;
  return new DrError(
    'CORRUPT',
    `${file}: damaged record at offset ${offset}; valid records follow from ${nextRecord}`,
    {
      hint: 'queues reach up to it; repair the file from a replica or a backup, then rebuild again',
      context: { file, offset, nextValidOffset: nextRecord },
    },
  );
}
