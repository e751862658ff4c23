// Which store `dr log` works on and with which file sizes: from the broker's configuration when -c gives
// it, else from the files themselves.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DrError, readPropertiesFile } from '../../../core-broker/base/index.ts';
import { compileBrokerConfig } from '../../../core-broker/broker/index.ts';
import { storeHolder, storeLayout } from '../../../core-broker/store/index.ts';
import { type CommandInput, textOf } from '../../command.ts';

const INDEX_HEADER_BYTES = 40;
/** Bytes of a slot and the four entries that Apache gives each. */
const SLOT_SHARE_BYTES = 84;

export function placeOf(input: CommandInput) {
  const [root = ''] = input.args;
  const file = textOf(input.options['config']);
  const commitLogDir = textOf(input.options['commitlog']);
  const layout = storeLayout(root, commitLogDir);
  if (!fs.existsSync(layout.commitLog)) {
    throw new DrError('NOT_FOUND', `${layout.commitLog}: no commit log here`, {
      hint: 'name the folder that holds commitlog, or say --commitlog FOLDER',
    });
  }
  const where = commitLogDir === undefined ? {} : { commitLogDir };
  if (file === undefined)
    return { root, layout, options: { ...where, ...indexShape(layout.index) } };
  // Why not loadBrokerConfig: where the store is was said, the file need not.
  const { config } = compileBrokerConfig(readPropertiesFile(file));
  const { mappedFileSizeConsumeQueue, maxHashSlotNum, maxIndexNum } = config;
  const { messageIndexEnable, messageDelayLevel } = config;
  const shape = { mappedFileSizeConsumeQueue, maxHashSlotNum, maxIndexNum };
  return { root, layout, options: { ...where, ...shape, messageIndexEnable, messageDelayLevel } };
}

/** Slots and entries by the size of a file; nothing when there is none (Apache's defaults then). */
function indexShape(folder: string): { maxHashSlotNum?: number; maxIndexNum?: number } {
  const names = fs.existsSync(folder) ? fs.readdirSync(folder) : [];
  const first = names.find((name) => /^\d{17}$/.test(name));
  if (first === undefined) return {};
  const file = path.join(folder, first);
  const slots = (fs.statSync(file).size - INDEX_HEADER_BYTES) / SLOT_SHARE_BYTES;
  if (Number.isInteger(slots)) return { maxHashSlotNum: slots, maxIndexNum: slots * 4 };
  throw new DrError('CONFIG', `${file}: its size does not tell slots and entries`, {
    hint: 'say -c with the configuration of the broker that wrote it',
  });
}

/** @throws DrError LOCKED while a broker has the store open */
export function refuseLive(layout: ReturnType<typeof storeLayout>): void {
  const holder = storeHolder(layout);
  if (holder === undefined) return;
  throw new DrError('LOCKED', `${layout.root} is in use by process ${holder}`, {
    hint: 'stop the broker first; dr log dump reads a live store',
  });
}

/** Lines on stderr, not more than one a second. */
export function progressPrinter(what: string): (done: number, total: number) => void {
  const startMs = performance.now();
  let shownMs = startMs;
  return (done, total) => {
    const nowMs = performance.now();
    if (nowMs - shownMs < 1_000) return;
    shownMs = nowMs;
    const share = total === 0 ? 100 : (100 * done) / total;
    const rate = done / 1e6 / ((nowMs - startMs) / 1_000);
    const line = `${what} ${share.toFixed(1)} % of ${(total / 1e6).toFixed(0)} MB, ${rate.toFixed(0)} MB/s`;
    process.stderr.write(`${line}\n`);
  };
}
