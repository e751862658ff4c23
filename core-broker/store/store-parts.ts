// The parts of an open store, made once by open-store and shared by reference.

import type { SendKernel } from '../kernel/index.ts';
import type { Housekeeping } from './boot/housekeeping.ts';
import type { Scrubber } from './check/scrubber.ts';
import type { EpochGuard, StoreOptions } from './door.ts';
import type { StoreLayout } from './layout.ts';
import type { CommitLog } from './log/commit-log.ts';
import type { ExactAppender } from './log/exact-appender.ts';
import type { FileLayer } from './log/file-layer.ts';
import type { LogSyncer } from './log/flush/log-syncer.ts';
import type { LogFiles } from './log/log-files.ts';
import type { LogState } from './log/log-state.ts';
import type { PendingDigests } from './log/pending-digests.ts';
import type { Ring } from './log/ring.ts';
import type { DigestRows } from './log/run/digest-rows.ts';
import type { RunAppender } from './log/run/run-appender.ts';
import type { DeletedTopics } from './queue/deleted-topics.ts';
import type { Dispatcher } from './queue/dispatcher.ts';
import type { IndexService } from './queue/index-service.ts';
import type { Puller } from './queue/puller.ts';
import type { TopicTable } from './queue/topic-table.ts';
import type { LogView } from './read/log-view.ts';
import type { Preloader } from './read/preloader.ts';
import type { Retention } from './space/retention.ts';

export interface StoreParts {
  options: StoreOptions;
  layout: StoreLayout;
  layer: FileLayer;
  ring: Ring;
  files: LogFiles;
  state: LogState;
  pending: PendingDigests;
  rows: DigestRows;
  kernel: SendKernel;
  runs: RunAppender;
  commitLog: CommitLog;
  exact: ExactAppender;
  view: LogView;
  syncer: LogSyncer;
  topics: TopicTable;
  deleted: DeletedTopics;
  index: IndexService | undefined;
  dispatcher: Dispatcher;
  puller: Puller;
  preloader: Preloader;
  guard: EpochGuard;
  keeping: Housekeeping;
  retention: Retention;
  scrubber: Scrubber;
  /** Closes files, removes the abort marker after a clean end, gives the lock back. */
  shut: (isClean: boolean) => void;
}
