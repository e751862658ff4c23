// Codes 318 and 319: the configuration as properties text, and changing it while running. A change is
// applied only when every line of the request is valid, then written to the file in place: known lines
// are replaced, new ones appended, comments stay (Apache rewrites the whole file and loses them).
// Source: NamesrvConfig and Configuration of Apache, behaviour only.
import * as path from 'node:path';
import {
  makeFolder,
  parseProperties,
  parseSetting,
  readTextIfExists,
  writeAtomicSync,
} from '../../base/index.ts';
import { INERT_KEYS, NAMESERVER_KEYS, SECURITY_KEYS, SHOWN_INERT_KEYS } from '../config/keys.ts';
import type { NameserverConfig } from '../config/load.ts';

export type UpdateOutcome = { kind: 'done' } | { kind: 'forbidden' } | { kind: 'bad'; why: string };

/** Names of files of this machine, and what keeps others out: nobody changes those from outside. */
const ALWAYS_FORBIDDEN = [
  'configBlackList',
  'configStorePath',
  'kvConfigPath',
  'rocketmqHome',
  ...Object.keys(SECURITY_KEYS),
];

/** `key=value` lines, sorted, of everything in force. */
export function settingsText(config: NameserverConfig): string {
  const inert = [...SHOWN_INERT_KEYS].filter(([, value]) => value !== '');
  const pairs = [...new Map([...inert, ...config.ignored]), ...Object.entries(config.settings)];
  return pairs
    .map(([key, value]) => `${key}=${value}\n`)
    .sort()
    .join('');
}

/** Applies the lines of a 318 request; unknown keys are dropped, as Apache does. */
export function updateSettings(config: NameserverConfig, text: string): UpdateOutcome {
  const wanted = parseProperties(text);
  const blackList = config.settings.configBlackList.split(';').map((key) => key.trim());
  const forbidden = [...ALWAYS_FORBIDDEN, ...blackList].some((key) => wanted.has(key));
  if (forbidden) return { kind: 'forbidden' };
  const changes = new Map<string, string>();
  const values: Record<string, unknown> = {};
  for (const [key, { value }] of wanted) {
    const setting = Object.hasOwn(NAMESERVER_KEYS, key)
      ? NAMESERVER_KEYS[key as keyof typeof NAMESERVER_KEYS]
      : undefined;
    if (!setting && !INERT_KEYS.has(key)) continue;
    changes.set(key, value);
    if (!setting) continue;
    const parsed = parseSetting(setting, value);
    if ('problem' in parsed) return { kind: 'bad', why: `${key}: ${parsed.problem}` };
    values[key] = parsed.value;
  }
  if (changes.size === 0) return { kind: 'done' };
  saveLines(config.settings.configStorePath, changes);
  Object.assign(config.settings, values);
  for (const [key, value] of changes) if (!(key in values)) config.ignored.set(key, value);
  return { kind: 'done' };
}

/** Replaces the lines of `changes` in a properties file and appends those it did not have. */
function saveLines(file: string, changes: Map<string, string>): void {
  const text = readTextIfExists(file) ?? '';
  const known = parseProperties(text);
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n');
  for (const [key, value] of changes) {
    const line = `${key}=${value.replace(/\\/g, '\\\\')}`;
    const at = known.get(key)?.line;
    if (at === undefined) lines.push(line);
    else replaceEntry(lines, at - 1, line);
  }
  makeFolder(path.dirname(file));
  writeAtomicSync(file, `${lines.join('\n')}\n`, { keepBackup: true });
}

const CONTINUED = /(^|[^\\])(\\\\)*\\$/;

/** Replaces one entry in place; lines it was continued on become empty, so that numbers stay. */
function replaceEntry(lines: string[], at: number, line: string): void {
  let text = lines[at] ?? '';
  for (let next = at + 1; CONTINUED.test(text) && next < lines.length; next++) {
    text = lines[next] ?? '';
    lines[next] = '';
  }
  lines[at] = line;
}
