// A standby that takes a log as fast as it can, from where its copy ends, and tells after each piece where
// the validated end is. For tests that kill it.
// After the first bulk bytes it waits for the checking thread: the rest is written ahead of the check.
//   node link-pourer.ts ROOT LOG_FILE OPTIONS_JSON
// prints lines "validatedEnd uncheckedBytes", at the end "level"
import * as fs from 'node:fs';
import type { Epoch } from '../../core-broker/base/index.ts';
import { openStore } from '../../core-broker/store/index.ts';
import { type FileMessageStore, partsOf } from '../../core-broker/store/message-store.ts';
import { smallStoreOptions } from './store-options.ts';
import { until } from './until.ts';

/** Bulk in one call, however slow the machine is. */
const FIRST_BYTES = 1024 * 1024;
/** So is each piece: written ahead of the check, however quick that is. */
const PIECE_BYTES = 512 * 1024;
const [root = '', logFile = '', options = '{}'] = process.argv.slice(2);
const bytes = fs.readFileSync(logFile);
const dr = { region: 'west', initialRole: 'standby' as const };
const store = await openStore(smallStoreOptions(root, { ...JSON.parse(options), ...dr }));
const { exact } = partsOf(store as FileMessageStore);
let wanted = FIRST_BYTES;
for (let at: number = store.validatedEnd(); at < bytes.length; ) {
  const piece = bytes.subarray(at, at + wanted);
  store.appendExact(at, piece, 0 as Epoch);
  at += piece.length;
  if (piece.length === FIRST_BYTES) await until(() => exact.hasThread, 'the thread');
  wanted = PIECE_BYTES;
  fs.writeSync(1, `${store.validatedEnd()} ${store.uncheckedBytes()}\n`);
  if (exact.hasThread) await new Promise((resolve) => setImmediate(resolve));
}
await store.dispatched();
fs.writeSync(1, 'level\n');
