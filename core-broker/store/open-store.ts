// Opens a store directory: lock → load files → recover → epoch guard → background work.
// Order: the abort marker is written after recovery succeeded and removed only by a clean close, so a
// crash at any point is seen by the next boot; a refused boot changes nothing.
import * as fs from 'node:fs';
import { DrError, fsyncFolderSync, LIMITS, makeFolder } from '../base/index.ts';
import { SendKernel } from '../kernel/index.ts';
import { Housekeeping } from './boot/housekeeping.ts';
import { recover } from './boot/recovery.ts';
import { StoreLock } from './boot/store-lock.ts';
import { Scrubber } from './check/scrubber.ts';
import type { EpochGuard, MessageStore, StoreOptions } from './door.ts';
import { FileEpochGuard, PlainGuard } from './guard/epoch-guard.ts';
import { consumeQueueFileSize, type StoreLayout, storeLayout } from './layout.ts';
import { CommitLog, largestRecordBytes, type RecordLimits } from './log/commit-log.ts';
import { ExactAppender } from './log/exact-appender.ts';
import { type FileLayer, systemFiles } from './log/file-layer.ts';
import { LogSyncer } from './log/flush/log-syncer.ts';
import { LogFiles } from './log/log-files.ts';
import { LogState } from './log/log-state.ts';
import { PendingDigests } from './log/pending-digests.ts';
import { Ring } from './log/ring.ts';
import { DigestRows } from './log/run/digest-rows.ts';
import { RunAppender } from './log/run/run-appender.ts';
import { FileMessageStore } from './message-store.ts';
import { DeletedTopics } from './queue/deleted-topics.ts';
import { DelayLevels } from './queue/digest/delay-levels.ts';
import { Dispatcher } from './queue/dispatcher.ts';
import { IndexService } from './queue/index-service.ts';
import { Puller } from './queue/puller.ts';
import { TopicTable } from './queue/topic-table.ts';
import { LogView } from './read/log-view.ts';
import { Preloader } from './read/preloader.ts';
import { Retention } from './space/retention.ts';
import { tuned } from './tuning.ts';

/** Write buffer and tail cache: twice what may be unwritten, so the newer half stays readable. */
const RING_BYTES = 2 * LIMITS.unflushedBytesMax;

/**
 * Opens (or creates) the store and recovers it.
 * @param layer file calls of the log; tests give a broken disk
 * @throws DrError LOCKED (in use), CORRUPT (damaged inside the log, naming file and offset),
 *   REFUSED (store of another region), CONFIG
 */
export async function openStore(
  options: StoreOptions,
  layer: FileLayer = systemFiles,
): Promise<MessageStore> {
  const layout = storeLayout(options.rootDir, options.commitLogDir);
  makeUsable(layout.root, 'storePathRootDir');
  makeUsable(layout.commitLog, 'storePathCommitLog');
  const lock = StoreLock.take(layout);
  const closers: (() => void)[] = [() => lock.release()];
  try {
    return await build({ options, layout, layer, closers });
  } catch (reason) {
    for (const close of closers.reverse()) close();
    throw DrError.from(reason);
  }
}

function makeUsable(folder: string, key: string): void {
  try {
    makeFolder(folder);
    fs.accessSync(folder, fs.constants.W_OK);
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unusable';
    throw new DrError('CONFIG', `${folder}: cannot be used as a store (${why})`, {
      cause,
      hint: `${key} must name a folder that this user may make and write`,
    });
  }
}

interface OpenContext {
  options: StoreOptions;
  layout: StoreLayout;
  layer: FileLayer;
  /** What to undo when opening fails, in order of making. */
  closers: (() => void)[];
}

async function build(context: OpenContext): Promise<MessageStore> {
  const { options } = context;
  const tuning = tuned(options);
  const { layout, layer, closers } = context;
  const isAbnormal = fs.existsSync(layout.abort);
  const state = new LogState();
  const files = new LogFiles(
    layout.commitLog,
    { fileSize: options.mappedFileSizeCommitLog, comparesRecordCrc: tuning.comparesRecordCrc },
    layer,
  );
  closers.push(() => files.close());
  files.load();
  const slack = largestRecordBytes(options.maxMessageSizeBytes);
  const ring = new Ring(RING_BYTES, slack);
  const derived = buildDerived(context, state);
  const { topics, index, dispatcher } = derived;
  const deleted = new DeletedTopics(layout.drDeletedTopics);
  files.skipsBodyCrc = !tuning.checkCRCOnRecover;
  const recovery = { layout, files, state, topics, index, dispatcher, deleted };
  const vouched = recover(recovery, isAbnormal);
  files.skipsBodyCrc = false;
  ring.reset(state.end);
  const guard = loadGuard(options, layout, { logEnd: state.end, isAbnormal });
  const pending = new PendingDigests({ ring, state }, index !== undefined);
  const kernel = new SendKernel(ring.memory);
  const rows = new DigestRows({ kernel, ring, state, topics });
  const log = { ring, files, state, layer, dispatcher, pending, rows };
  const view = new LogView(log);
  const puller = new Puller(view, files);
  const syncer = new LogSyncer(log);
  const retention = new Retention({ files, state, topics, index }, tuning);
  const keeping = new Housekeeping({
    state,
    syncer,
    topics,
    index,
    retention,
    checkpointFile: layout.checkpoint,
    commitLogFolder: layout.commitLog,
    mayDelete: () => guard.state.role === 'active',
  });
  const scrubber = new Scrubber(log, tuning.scrubBytesPerSecond);
  markRunning(layout);
  // Why now: recovery judges a hole by what was surely synced, also in the first seconds.
  await keeping.first(vouched);
  keeping.start(tuning);
  scrubber.start();
  return new FileMessageStore({
    ...log,
    options,
    layout,
    view,
    syncer,
    topics,
    deleted,
    index,
    guard,
    keeping,
    retention,
    scrubber,
    kernel,
    runs: new RunAppender(
      { ...log, kernel },
      { ...recordLimits(tuning), hasIndex: index !== undefined },
    ),
    commitLog: new CommitLog(log, recordLimits(tuning)),
    exact: new ExactAppender({
      ...log,
      checker: { topics, setup: checkSetup(tuning, layout) },
      allowUnchecked: (from) => keeping.allowUnchecked(from),
    }),
    puller,
    preloader: new Preloader({ view, files, state, puller }),
    shut: (isClean) => {
      if (isClean) markStopped(layout);
      for (const close of closers.reverse()) close();
    },
  });
}

function buildDerived(context: OpenContext, state: LogState) {
  const { options, layout, closers } = context;
  const fileSize = consumeQueueFileSize(options.mappedFileSizeConsumeQueue);
  const topics = new TopicTable(layout.consumeQueue, fileSize);
  closers.push(() => topics.files.close());
  const shape = { slots: options.maxHashSlotNum, entries: options.maxIndexNum };
  const index = options.messageIndexEnable ? new IndexService(layout.index, shape) : undefined;
  if (index !== undefined) closers.push(() => index.close());
  index?.load();
  const delays = new DelayLevels(options.messageDelayLevel);
  return { topics, index, dispatcher: new Dispatcher(topics, state, { delays, index }) };
}

/** Plain values: what is read for every record must not go through the defaults. */
const recordLimits = (options: ReturnType<typeof tuned>): RecordLimits => ({
  maxMessageSizeBytes: options.maxMessageSizeBytes,
  storeHost: options.storeHost,
  appendsRecordCrc: options.appendsRecordCrc,
  takesLongTopics: options.takesLongTopics,
});

function checkSetup(options: ReturnType<typeof tuned>, layout: StoreLayout) {
  return {
    folder: layout.commitLog,
    fileSize: options.mappedFileSizeCommitLog,
    messageDelayLevel: options.messageDelayLevel,
    hasIndex: options.messageIndexEnable,
    comparesRecordCrc: options.comparesRecordCrc,
  };
}

function loadGuard(
  options: StoreOptions,
  layout: StoreLayout,
  boot: { logEnd: number; isAbnormal: boolean },
): EpochGuard {
  const { region, initialRole } = options;
  if (region === undefined) return new PlainGuard();
  const init = { file: layout.drEpoch, region, initialRole };
  return FileEpochGuard.load(init, boot.logEnd, boot.isAbnormal);
}

/** Apache's abort marker: present while running; 5.x writes the process id into it. */
function markRunning(layout: StoreLayout): void {
  fs.writeFileSync(layout.abort, String(process.pid));
  fsyncFolderSync(layout.root);
}

function markStopped(layout: StoreLayout): void {
  fs.rmSync(layout.abort, { force: true });
  fsyncFolderSync(layout.root);
}
