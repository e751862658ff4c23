// A store directory that nobody has open, with the shape it was written with: sizes come from the files
// that are there, so that a tool needs no broker configuration.
// Source: ours.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DrError } from '../../base/index.ts';
import {
  consumeQueueFileSize,
  mappedFileOffset,
  type StoreLayout,
  storeLayout,
} from '../layout.ts';
import { systemFiles } from '../log/file-layer.ts';
import { LogFiles } from '../log/log-files.ts';
import { IndexService } from '../queue/index-service.ts';
import { TopicTable } from '../queue/topic-table.ts';

/** Keys of the broker's configuration; Apache's defaults where the files do not say. */
export interface ClosedStoreOptions {
  /** The commit log when it is not `<root>/commitlog`. */
  commitLogDir?: string;
  mappedFileSizeConsumeQueue?: number;
  maxHashSlotNum?: number;
  maxIndexNum?: number;
  /** false: no index is built or looked at. */
  messageIndexEnable?: boolean;
  messageDelayLevel?: string;
}

export const DELAY_LEVELS = '1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h';

export interface ClosedStore {
  layout: StoreLayout;
  files: LogFiles;
  topics: TopicTable;
  index: IndexService | undefined;
  messageDelayLevel: string;
  close(): void;
}

/** @throws DrError NOT_FOUND without a commit log, CORRUPT for wrong names or sizes */
export function openClosedStore(rootDir: string, options: ClosedStoreOptions): ClosedStore {
  const layout = storeLayout(rootDir, options.commitLogDir);
  const fileSize = fs.existsSync(layout.commitLog) ? firstSize(layout.commitLog) : undefined;
  if (fileSize === undefined) {
    throw new DrError('NOT_FOUND', `${layout.commitLog}: no commit log here`);
  }
  const files = new LogFiles(layout.commitLog, { fileSize }, systemFiles);
  files.load();
  const configured = options.mappedFileSizeConsumeQueue ?? queueFileSize(layout) ?? 6_000_000;
  const topics = new TopicTable(layout.consumeQueue, consumeQueueFileSize(configured));
  const shape = {
    slots: options.maxHashSlotNum ?? 5_000_000,
    entries: options.maxIndexNum ?? 20_000_000,
  };
  const hasIndex = options.messageIndexEnable ?? true;
  const index = hasIndex ? new IndexService(layout.index, shape) : undefined;
  return {
    layout,
    files,
    topics,
    index,
    messageDelayLevel: options.messageDelayLevel ?? DELAY_LEVELS,
    close: () => {
      index?.close();
      topics.files.close();
      files.close();
    },
  };
}

/** Size of the first mapped file in a folder. */
function firstSize(folder: string): number | undefined {
  const names = fs.readdirSync(folder).filter((name) => mappedFileOffset(name) !== undefined);
  const first = names.sort()[0];
  return first === undefined ? undefined : fs.statSync(path.join(folder, first)).size;
}

function queueFileSize(layout: StoreLayout): number | undefined {
  if (!fs.existsSync(layout.consumeQueue)) return undefined;
  for (const topic of fs.readdirSync(layout.consumeQueue)) {
    const folder = path.join(layout.consumeQueue, topic);
    if (!fs.statSync(folder).isDirectory()) continue;
    for (const id of fs.readdirSync(folder)) {
      const queue = path.join(folder, id);
      const size = fs.statSync(queue).isDirectory() ? firstSize(queue) : undefined;
      if (size !== undefined && size > 0) return size;
    }
  }
  return undefined;
}
