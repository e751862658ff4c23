// One metadata file in Apache's form: `<f>` with the previous content kept as `<f>.bak`. Written
// atomically and durably; read tolerantly (fastjson prints unquoted map keys). An empty or unreadable
// file falls back to `.bak`; a missing one means defaults.
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  createLog,
  DrError,
  readTextIfExists,
  writeAtomic,
  writeAtomicSync,
} from '../../base/index.ts';
import { parseJson } from '../../protocol/index.ts';

const log = createLog('broker');

export type JsonObject = Record<string, unknown>;

/**
 * Content of a metadata file, or undefined when neither it nor its backup exists.
 * @throws DrError CORRUPT when both are there and neither can be parsed
 */
export function readJsonFile(file: string): JsonObject | undefined {
  const candidates = [file, `${file}.bak`].filter((name) => fs.existsSync(name));
  for (const name of candidates) {
    const parsed = tryParse(name);
    if (parsed) return parsed;
  }
  if (candidates.length === 0) return undefined;
  throw new DrError('CORRUPT', `${file}: neither the file nor its backup is readable JSON`, {
    hint: 'restore the file from a backup, or move it away to start with defaults',
  });
}

function tryParse(name: string): JsonObject | undefined {
  const text = readTextIfExists(name);
  if (text === undefined || text.trim() === '') return undefined;
  try {
    return asObject(parseJson(text));
  } catch (reason) {
    const error = DrError.from(reason).message;
    log.warn('metadata.unreadable', 'metadata file is damaged; trying its backup', { name, error });
    return undefined;
  }
}

/** Durable on return. */
export function writeJsonFile(file: string, content: JsonObject): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  writeAtomicSync(file, JSON.stringify(content, undefined, '\t'), { keepBackup: true });
}

/**
 * The same, off the loop.
 * @param isSuperseded  true once a later content was written
 */
export async function writeJsonFileAside(
  file: string,
  content: JsonObject,
  isSuperseded: () => boolean,
): Promise<void> {
  const text = JSON.stringify(content, undefined, '\t');
  await fs.promises.mkdir(path.dirname(file), { recursive: true });
  await writeAtomic(file, text, { keepBackup: true, isSuperseded });
}

/** The value as an object, or an empty one. */
export const asObject = (value: unknown): JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};

/** The value as a whole number, or `otherwise`. */
export function asNumber(value: unknown, otherwise: number): number {
  const number = typeof value === 'string' ? Number(value) : value;
  return Number.isSafeInteger(number) ? (number as number) : otherwise;
}
