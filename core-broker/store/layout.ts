// Names and sizes of the files in a store directory: the one place that knows them.
// Apache RocketMQ's layout (storeType=default) plus small files of ours, `drEpoch`, `drLock` and
// `drDeletedTopics`, which a stock broker ignores.
import * as path from 'node:path';

/** Bytes of one consume queue entry: int64 physicalOffset, int32 size, int64 tagsCode. */
export const CQ_ENTRY_BYTES = 20;
/** Size word of a pre-blank entry: a queue that does not start at 0 is padded with these. */
export const CQ_BLANK_SIZE = 0x7fffffff;
export const INDEX_HEADER_BYTES = 40;
export const INDEX_SLOT_BYTES = 4;
export const INDEX_ENTRY_BYTES = 20;
export const CHECKPOINT_BYTES = 4096;
/** Bytes of an end marker: int32 bytes left in the file, int32 blank magic. */
export const END_MARKER_BYTES = 8;
/** Topic of delayed messages; its consume queue carries due times instead of tag hashes. */
export const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX';

export interface StoreLayout {
  root: string;
  commitLog: string;
  consumeQueue: string;
  index: string;
  config: string;
  checkpoint: string;
  abort: string;
  /** Apache's lock file (bytes `lock`). */
  lock: string;
  /** Ours: carries the kernel lock that one process holds. */
  drLock: string;
  drEpoch: string;
  /** Ours: topics whose queues were deleted before their records left the log. */
  drDeletedTopics: string;
  /** Log bytes that recovery or an epoch repair took out of the log. */
  setAside: string;
}

/** Paths of a store; commitLogDir empty = `<root>/commitlog`. */
export function storeLayout(rootDir: string, commitLogDir = ''): StoreLayout {
  const root = path.resolve(rootDir);
  const at = (name: string): string => path.join(root, name);
  return {
    root,
    commitLog: commitLogDir === '' ? at('commitlog') : path.resolve(commitLogDir),
    consumeQueue: at('consumequeue'),
    index: at('index'),
    config: at('config'),
    checkpoint: at('checkpoint'),
    abort: at('abort'),
    lock: at('lock'),
    drLock: at('drLock'),
    drEpoch: at('drEpoch'),
    drDeletedTopics: at('drDeletedTopics'),
    setAside: at('setaside'),
  };
}

/** Name of the mapped file that begins at `offset`. */
export const mappedFileName = (offset: number): string => String(offset).padStart(20, '0');

/** Start offset in a mapped file's name, or undefined when it is not one. */
export function mappedFileOffset(name: string): number | undefined {
  if (!/^\d{20}$/.test(name)) return undefined;
  const offset = Number(name);
  return Number.isSafeInteger(offset) ? offset : undefined;
}

/** Apache rounds the configured size up to whole entries. */
export const consumeQueueFileSize = (configured: number): number =>
  Math.ceil(configured / CQ_ENTRY_BYTES) * CQ_ENTRY_BYTES;

export const indexFileSize = (slots: number, entries: number): number =>
  INDEX_HEADER_BYTES + slots * INDEX_SLOT_BYTES + entries * INDEX_ENTRY_BYTES;

/** Local time as yyyyMMddHHmmssSSS, Apache's index file name. */
export function indexFileName(atMs: number): string {
  const at = new Date(atMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${at.getFullYear()}${two(at.getMonth() + 1)}${two(at.getDate())}`;
  const time = `${two(at.getHours())}${two(at.getMinutes())}${two(at.getSeconds())}`;
  return `${day}${time}${String(at.getMilliseconds()).padStart(3, '0')}`;
}
