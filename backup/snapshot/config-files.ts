// Reads the small state files of a live store: offsets before the log, topic tables after it.
// Order: offsets first, so that none can be ahead of the log copied later; topics and groups last, so
// that every message of the copied log has its topic (without topics.json a broker serves nothing).
// Brokers replace these files by delete and rename: a missing or torn one is read again, then `.bak`.
// Left out: timercheck and timermetrics, because the timer wheel they point into is not archived (the
// broker reads the timer queue again); identity and epoch files, which belong to one machine.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DrError, sleep } from '../../core-broker/base/index.ts';
import { parseLooseJson } from '../log/index.ts';

export interface ConfigFile {
  /** Path in the backup: config/<name>, or configuration/<name> for the operator's files. */
  path: string;
  content: Buffer;
  mtimeMs: number;
}

const OFFSETS = new Set(['consumerOffset.json', 'delayOffset.json', 'consumerOrderInfo.json']);
const TABLES = new Set(['topics.json', 'subscriptionGroup.json', 'topicQueueMapping.json']);
const SKIPPED = new Set(['timercheck', 'timermetrics']);
const TRIES = 5;
const PAUSE_MS = 40;

export type ConfigGroup = 'before-log' | 'after-log';

/**
 * Reads one group of `config/`.
 * @throws DrError CORRUPT when a file and its .bak are unreadable; REFUSED for RocksDB metadata
 */
export async function readConfigFiles(rootDir: string, group: ConfigGroup): Promise<ConfigFile[]> {
  const folder = path.join(rootDir, 'config');
  if (!fs.existsSync(folder)) return [];
  const files: ConfigFile[] = [];
  for (const name of namesIn(folder)) {
    const isTable = TABLES.has(name);
    if (isTable !== (group === 'after-log')) continue;
    const file = await readSettled(folder, name);
    if (file) files.push(file);
  }
  return files;
}

/** Names with their .bak and .tmp folded in: a file caught between delete and rename has only those. */
function namesIn(folder: string): string[] {
  const names = fs
    .readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name.replace(/(\.soon)?\.(bak|tmp)$/, ''));
  return [...new Set(names)].filter((name) => !SKIPPED.has(name)).sort();
}

async function readSettled(folder: string, name: string): Promise<ConfigFile | undefined> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const found = readValid(folder, name, name);
    if (found) return found;
    await sleep(PAUSE_MS);
  }
  const kept = readValid(folder, `${name}.bak`, name);
  if (kept) return kept;
  if (!OFFSETS.has(name) && !TABLES.has(name)) return undefined;
  throw new DrError('CORRUPT', `${path.join(folder, name)}: neither it nor its .bak is readable`);
}

function readValid(folder: string, from: string, name: string): ConfigFile | undefined {
  const file = path.join(folder, from);
  try {
    const content = fs.readFileSync(file);
    if (content.length === 0) return undefined;
    if (name.endsWith('.json')) parseLooseJson(content.toString('utf8'), file);
    const mtimeMs = Math.floor(fs.statSync(file).mtimeMs);
    return { path: `config/${name}`, content, mtimeMs };
  } catch (reason) {
    // Expected while a broker replaces the file; the caller reads again.
    if (DrError.is(DrError.from(reason), 'NOT_FOUND', 'CORRUPT')) return undefined;
    throw reason;
  }
}

/** The operator's own files (broker.conf, dr.yaml), stored beside the store's. */
export function readOperatorFiles(files: readonly string[]): ConfigFile[] {
  const names = files.map((file) => path.basename(file));
  const double = names.find((name, i) => names.indexOf(name) !== i);
  if (double) throw new DrError('USAGE', `two configuration files are named ${double}`);
  return files.map((file) => ({
    path: `configuration/${path.basename(file)}`,
    content: fs.readFileSync(file),
    mtimeMs: Math.floor(fs.statSync(file).mtimeMs),
  }));
}
