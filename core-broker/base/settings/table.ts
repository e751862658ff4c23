// Turns a .properties file into typed settings by a table of keys, with the same strictness everywhere:
// a key of the table is parsed and bounded; a key that Apache knows but this program does not act on is
// a warning by name; any other key is an error with file, line and the nearest known key. Apache keeps
// the default in silence when a value does not parse; here that is an error too.
import { configError, nearestKey, type PropertiesFile } from '../properties.ts';

interface SettingText {
  /** One sentence for the reference page. */
  meaning: string;
}
export interface IntSetting extends SettingText {
  kind: 'int';
  initial: number;
  min: number;
  max: number;
}
export interface BoolSetting extends SettingText {
  kind: 'bool';
  initial: boolean;
}
export interface TextSetting extends SettingText {
  kind: 'text';
  initial: string;
}
export type Setting = IntSetting | BoolSetting | TextSetting;
export type SettingTable = Record<string, Setting>;

/** The typed values of a table. */
export type SettingsOf<T extends SettingTable> = {
  -readonly [K in keyof T]: T[K] extends IntSetting
    ? number
    : T[K] extends BoolSetting
      ? boolean
      : string;
};

const MAX_INT = 2 ** 31 - 1;

export const intSetting = (
  initial: number,
  meaning: string,
  bounds: { min?: number; max?: number } = {},
): IntSetting => ({
  kind: 'int',
  initial,
  min: bounds.min ?? 0,
  max: bounds.max ?? MAX_INT,
  meaning,
});
export const boolSetting = (initial: boolean, meaning: string): BoolSetting => ({
  kind: 'bool',
  initial,
  meaning,
});
export const textSetting = (initial: string, meaning: string): TextSetting => ({
  kind: 'text',
  initial,
  meaning,
});

/** Values of a table when no file says otherwise. */
export function initialSettings<T extends SettingTable>(table: T): SettingsOf<T> {
  const pairs = Object.entries(table).map(([key, setting]) => [key, setting.initial]);
  return Object.fromEntries(pairs) as SettingsOf<T>;
}

/**
 * Parses one value by its setting.
 * @returns the value, or what is wrong with the text
 */
export function parseSetting(
  setting: Setting,
  text: string,
): { value: number | boolean | string } | { problem: string } {
  const comment = /\s[#!]/.exec(text);
  const tail = comment ? '; a comment behind a value is part of the value' : '';
  if (setting.kind === 'text') {
    return comment ? { problem: `'${text}' holds a comment${tail}` } : { value: text };
  }
  if (setting.kind === 'bool') {
    if (text === 'true' || text === 'false') return { value: text === 'true' };
    return { problem: `'${text}' is not true or false${tail}` };
  }
  const number = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= setting.min && number <= setting.max) return { value: number };
  return { problem: `'${text}' is not a whole number in ${setting.min}..${setting.max}${tail}` };
}

/** Words `key=value` -> a table of keys that are known without effect, with their defaults. */
export function parseDefaults(text: string): ReadonlyMap<string, string> {
  const pairs = text.trim().split(/\s+/);
  return new Map(
    pairs.map((pair): [string, string] => {
      const cut = pair.indexOf('=');
      return [pair.slice(0, cut), pair.slice(cut + 1)];
    }),
  );
}

export interface SettingsRead<T extends SettingTable> {
  values: SettingsOf<T>;
  /** Complaints that do not stop the start: known keys without effect, as `file:line: text`. */
  warnings: string[];
  /** Entries that are known but without effect; they stay part of the configuration text. */
  ignored: Map<string, string>;
}

/**
 * Reads a whole file by its table.
 * @param inert keys that Apache knows and this program does not act on, with their defaults: who sets
 *   another value is warned
 * @throws DrError CONFIG at the first unknown key or unusable value
 */
export function readSettings<T extends SettingTable>(
  file: PropertiesFile,
  table: T,
  inert: ReadonlyMap<string, string>,
): SettingsRead<T> {
  const values = initialSettings(table) as Record<string, number | boolean | string>;
  const warnings: string[] = [];
  const ignored = new Map<string, string>();
  for (const [key, { value: text, line }] of file.entries) {
    const at = { path: file.path, line };
    const setting = table[key];
    if (setting) {
      const parsed = parseSetting(setting, text);
      if ('problem' in parsed) throw configError(at, `${key}: ${parsed.problem}`, setting.meaning);
      values[key] = parsed.value;
    } else if (inert.has(key)) {
      ignored.set(key, text);
      if (text === inert.get(key)) continue;
      warnings.push(`${file.path}:${line}: ${key} is known but has no effect here`);
    } else {
      const near = nearestKey(key, [...Object.keys(table), ...inert.keys()]);
      throw configError(at, `${key}: unknown key`, near && `did you mean ${near}?`);
    }
  }
  return { values: values as SettingsOf<T>, warnings, ignored };
}
