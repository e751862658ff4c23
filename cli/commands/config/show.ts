// dr config show FILE: the values a process started with this file would use, and where each comes from:
// a line of the file, the environment, or the default. Secrets are never shown.
import * as fs from 'node:fs';
import { LineCounter, parseDocument } from 'yaml';
import {
  DrError,
  initialSettings,
  type PropertiesFile,
  readEnv,
  readPropertiesFile,
  readSettings,
} from '../../../core-broker/base/index.ts';
import { BROKER_KEYS, loadBrokerConfig } from '../../../core-broker/broker/index.ts';
import { INERT_KEYS, loadNameserverConfig } from '../../../core-broker/nameserver/index.ts';
import { loadGatewayConfig } from '../../../switchover/index.ts';
import type { CommandInput } from '../../command.ts';
import { drConfigSchema } from '../../config/dr-config.ts';
import { loadYamlFile } from '../../config/yaml-file.ts';
import { EXIT } from '../../exit-status.ts';
import { formatOf, printAnswer } from '../../output.ts';
import { findingsOf, GATEWAY_TABLE, type Kind, kindOf, NAMESERVER_TABLE } from './kinds.ts';

interface Shown {
  key: string;
  value: unknown;
  source: string;
}

export const REDACTED = '[redacted]';
const SECRET_KEY = /(secret|password|passwd|token|credential)/i;
/** A key that names a file is no secret, what the file holds is. */
const PLACE_KEY = /(file|path|dir)$/i;

export function shownValue(key: string, value: unknown): unknown {
  const name = key.split('.').at(-1) ?? key;
  if (SECRET_KEY.test(name) && !PLACE_KEY.test(name) && value !== '') return REDACTED;
  if (typeof value !== 'string') return value;
  return value.replace(/(:\/\/[^/:@\s]*):[^/@\s]+@/g, `$1:${REDACTED}@`);
}

export function runShow(input: CommandInput): Promise<number> {
  const [file = ''] = input.args;
  const kind = (input.options['kind'] as Kind | undefined) ?? kindOf(file);
  const { problems, warnings } = findingsOf(file, kind);
  const [first] = problems;
  if (first) {
    throw new DrError('CONFIG', problems.map((row) => row.message).join('\n    '), {
      ...(first.hint === undefined ? {} : { hint: first.hint }),
    });
  }
  const rows = rowsOf(file, kind).map((row) => ({ ...row, value: shownValue(row.key, row.value) }));
  printAnswer(formatOf(input), {
    json: { file, kind, values: rows, warnings },
    head: ['Key', 'Value', 'From'],
    rows: rows.map((row) => [row.key, textOf(row.value), row.source]),
  });
  return Promise.resolve(EXIT.DONE);
}

const textOf = (value: unknown): string =>
  typeof value === 'object' ? JSON.stringify(value) : String(value ?? '');

function rowsOf(file: string, kind: Kind): Shown[] {
  if (kind === 'dr') return yamlRows(file);
  const properties = readPropertiesFile(file);
  if (kind === 'broker') return brokerRows(properties);
  if (kind === 'nameserver') return nameserverRows(properties);
  loadGatewayConfig(file);
  const { values } = readSettings(properties, GATEWAY_TABLE, new Map());
  return Object.entries(values).map(([key, value]) => ({
    key,
    value,
    source: from(properties, key),
  }));
}

const from = (file: PropertiesFile, key: string, otherwise = 'default'): string => {
  const entry = file.entries.get(key);
  return entry === undefined ? otherwise : `${file.path}:${entry.line}`;
};

function brokerRows(file: PropertiesFile): Shown[] {
  const { config } = loadBrokerConfig(file.path);
  const values = config as unknown as Record<string, unknown>;
  const rows = Object.entries(BROKER_KEYS).map(([key, { initial }]) => {
    const value = values[key];
    const isEnv = key === 'namesrvAddr' && value !== '' && value === readEnv('NAMESRV_ADDR');
    const otherwise = isEnv ? 'NAMESRV_ADDR' : value === initial ? 'default' : 'made from others';
    return { key, value, source: from(file, key, otherwise) };
  });
  const echoed = [...config.echoed].map(([key, value]) => ({
    key,
    value,
    source: `${from(file, key)}, without effect`,
  }));
  return [...rows, ...echoed];
}

function nameserverRows(file: PropertiesFile): Shown[] {
  const config = loadNameserverConfig(file.path);
  const { values, ignored } = readSettings(file, NAMESERVER_TABLE, INERT_KEYS);
  const initial = initialSettings(NAMESERVER_TABLE) as Record<string, unknown>;
  const effective = { ...values, ...config.settings } as Record<string, unknown>;
  const rows = Object.entries(effective).map(([key, value]) => {
    const otherwise = value === initial[key] ? 'default' : 'made from others';
    return { key, value, source: from(file, key, otherwise) };
  });
  const echoed = [...ignored].map(([key, value]) => ({
    key,
    value,
    source: `${from(file, key)}, without effect`,
  }));
  return [...rows, ...echoed];
}

function yamlRows(file: string): Shown[] {
  const values = loadYamlFile(file, drConfigSchema);
  const counter = new LineCounter();
  const document = parseDocument(fs.readFileSync(file, 'utf8'), { lineCounter: counter });
  const lineOf = (keys: string[]): string => {
    const node = document.getIn(keys, true) as { range?: [number, number, number] } | undefined;
    if (node?.range === undefined) return 'default';
    return `${file}:${counter.linePos(node.range[0]).line}`;
  };
  return leaves(values, []).map(({ keys, value }) => ({
    key: keys.join('.'),
    value,
    source: lineOf(keys),
  }));
}

function leaves(value: unknown, keys: string[]): { keys: string[]; value: unknown }[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [{ keys, value }];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...keys, key]));
}
