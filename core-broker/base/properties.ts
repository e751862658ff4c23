// Java .properties files as Apache brokers read them, with the line of every key kept, so that each
// complaint names file, line, key, what is allowed and the nearest known key.
// Only syntax lives here; which keys exist is the business of each module's config table.
import * as fs from 'node:fs';
import { Pair, parseLines } from 'dot-properties';
import { DrError } from './errors.ts';

export interface PropertyEntry {
  value: string;
  /** 1-based line of the key in its file. */
  line: number;
  /** Line of the same key further up, whose value does not count; as in Java the last one wins. */
  earlierLine?: number;
}

export interface PropertiesFile {
  path: string;
  entries: Map<string, PropertyEntry>;
}

/**
 * Reads a .properties file; a later key wins, as in Java.
 * @throws DrError CONFIG when the file cannot be read
 */
export function readPropertiesFile(path: string): PropertiesFile {
  if (/\.ya?ml$/i.test(path)) {
    throw new DrError('CONFIG', `${path}: a .properties file is expected here, not YAML`, {
      hint: 'dr.yaml is for dr standby, dr doctor and the verbs of a switch',
    });
  }
  return { path, entries: parseProperties(readConfigText(path, 'latin1')) };
}

/**
 * The text of a file an operator named.
 * @throws DrError CONFIG with what to do about it
 */
export function readConfigText(path: string, encoding: 'latin1' | 'utf8'): string {
  try {
    return fs.readFileSync(path, encoding);
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unreadable';
    const hint =
      why === 'ENOENT'
        ? 'there is no such file; dr config example prints one of every kind'
        : 'name a file that this user may read';
    throw new DrError('CONFIG', `${path}: cannot read the configuration (${why})`, { cause, hint });
  }
}

/** Parses .properties text: escapes, continuation lines, `#` and `!` comments. */
export function parseProperties(text: string): Map<string, PropertyEntry> {
  const entries = new Map<string, PropertyEntry>();
  for (const node of parseLines(text, true)) {
    if (!(node instanceof Pair)) continue;
    const offset = node.range?.[0] ?? 0;
    const line = text.slice(0, offset).split('\n').length;
    const earlierLine = entries.get(node.key)?.line;
    const entry = { value: node.value.trim(), line };
    entries.set(node.key, earlierLine === undefined ? entry : { ...entry, earlierLine });
  }
  return entries;
}

/**
 * The text with other values for some keys: a key that is there is changed where it stands (every time it
 * stands there), a new one comes at the end; comments, order and everything else stay byte for byte.
 */
export function editProperties(text: string, changes: ReadonlyMap<string, string>): string {
  const left = new Map(changes);
  let edited = '';
  let copied = 0;
  for (const node of parseLines(text, true)) {
    const value = node instanceof Pair ? changes.get(node.key) : undefined;
    if (value === undefined || !(node instanceof Pair)) continue;
    const [start = 0, , , end = start] = node.range ?? [];
    edited += `${text.slice(copied, start)}${node.key}=${escapeValue(value)}`;
    copied = end;
    left.delete(node.key);
  }
  edited += text.slice(copied);
  const gap = edited === '' || edited.endsWith('\n') ? '' : '\n';
  return `${edited}${gap}${[...left].map(([key, value]) => `${key}=${escapeValue(value)}\n`).join('')}`;
}

const escapeValue = (value: string): string =>
  value
    .replace(/[\\]/g, '\\\\')
    .replace(/\n/g, '\\n')
    .replace(/^ /, '\\ ')
    .replace(/[^\x20-\x7e]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Builds the error every configuration complaint has: `file:line: key: problem`. */
export function configError(
  at: { path: string; line?: number; column?: number },
  problem: string,
  hint?: string,
): DrError {
  const where = [at.path, at.line, at.column].filter((part) => part !== undefined).join(':');
  return new DrError('CONFIG', `${where}: ${problem}`, hint === undefined ? {} : { hint });
}

/**
 * The known key nearest to a mistyped one, or undefined when none is near.
 * Compares without case and punctuation, so `haService.listenPort` finds `haListenPort`.
 */
export function nearestKey(key: string, known: Iterable<string>): string | undefined {
  const wanted = fold(key);
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(wanted.length / 2));
  for (const candidate of known) {
    const folded = fold(candidate);
    const isStart = wanted.length >= 4 && folded.startsWith(wanted);
    const distance = isStart ? 1 : editDistance(wanted, folded);
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

const fold = (key: string): string => key.toLowerCase().replace(/[^a-z0-9]/g, '');

/** Levenshtein distance, one row at a time. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, i) => i);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const swap = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}
