// Reads an Apache broker file unchanged: `.properties` syntax, known keys compiled by the key table.
// Apache keeps defaults silently when a value does not parse and ignores unknown keys; here both are
// errors with file, line, what is allowed and the nearest known key, because a typo at 3 am must not
// start a broker on the wrong port. Keys without effect become warnings.
import * as path from 'node:path';
import {
  configError,
  nearestKey,
  type PropertiesFile,
  type PropertyEntry,
  readEnv,
  readPropertiesFile,
} from '../../base/index.ts';
import { type TlsSettings, tlsSettings } from '../../remoting/index.ts';
import {
  BROKER_KEYS,
  type BrokerConfigValues,
  type BrokerKey,
  type BrokerKeyName,
} from './broker-keys.ts';
import { UNSUPPORTED_KEYS } from './known-keys.ts';

export interface BrokerConfig extends BrokerConfigValues {
  /** File it came from; undefined for a configuration built in memory. */
  path: string | undefined;
  /** Keys that are kept and echoed though they have no effect. */
  echoed: Map<string, string>;
}

export interface LoadedBrokerConfig {
  config: BrokerConfig;
  /** One sentence each, naming file, line and key. */
  warnings: string[];
}

/**
 * Loads one broker file for a broker, or for who reads its store.
 * @throws DrError CONFIG `file:line: ...` for an unknown key or a value that is not allowed, and when
 *   nothing says where the store is
 */
export function loadBrokerConfig(path: string): LoadedBrokerConfig {
  const loaded = compileBrokerConfig(readPropertiesFile(path));
  if (loaded.config.storePathRootDir !== '') return loaded;
  throw configError(
    { path },
    'storePathRootDir is not set, and its default is a folder in the home of a user who has none',
    'set storePathRootDir to the folder of the store',
  );
}

/** The default configuration with some values set; for brokers that are started without a file. */
export function brokerConfig(values: Partial<BrokerConfigValues>): BrokerConfig {
  const initial = Object.fromEntries(
    Object.entries(BROKER_KEYS).map(([key, row]) => [key, row.initial]),
  ) as unknown as BrokerConfigValues;
  return complete({ ...initial, ...values, path: undefined, echoed: new Map() });
}

/** Compiles parsed properties: every entry is honoured, warned about or refused. */
export function compileBrokerConfig(file: PropertiesFile): LoadedBrokerConfig {
  const values: Record<string, string | number | boolean> = {};
  const echoed = new Map<string, string>();
  const warnings: string[] = [];
  for (const [key, entry] of file.entries) {
    const at = { path: file.path, line: entry.line };
    refuseTrailingComment(key, entry, at);
    if (isBrokerKey(key)) values[key] = parseKey(key, entry.value, at);
    else if (UNSUPPORTED_KEYS.has(key)) {
      echoed.set(key, entry.value);
      if (entry.value === UNSUPPORTED_KEYS.get(key)) continue;
      warnings.push(`${at.path}:${at.line}: ${key} is known but has no effect here`);
    } else throw unknownKey(key, at);
  }
  const config = complete({ ...brokerConfig(values), path: file.path, echoed });
  checkRole(config, file, warnings);
  checkPorts(config, file);
  return { config, warnings };
}

/** TLS of a broker's ports and of its calls. @throws DrError CONFIG */
export function brokerTls(config: BrokerConfig): TlsSettings {
  const folder = config.path === undefined ? '.' : path.dirname(path.resolve(config.path));
  return tlsSettings({ ...config, ...(config.useTLS ? { 'tls.enable': 'true' } : {}) }, folder);
}

export const isBrokerKey = (key: string): key is BrokerKeyName => Object.hasOwn(BROKER_KEYS, key);

/**
 * Parses the text of one honoured key.
 * @throws DrError CONFIG with what is allowed
 */
export function parseKey(
  key: BrokerKeyName,
  text: string,
  at: { path: string; line?: number },
): string | number | boolean {
  const row: BrokerKey = BROKER_KEYS[key];
  if (row.kind === 'text') {
    if (row.form === undefined || row.form.isValid(text)) return text;
    throw configError(at, `${key}: '${text}' is not allowed; use ${row.form.words}`);
  }
  if (row.kind === 'enum') {
    if (row.allowed.includes(text)) return text;
    throw configError(at, `${key}: '${text}' is not allowed; use ${row.allowed.join(', ')}`);
  }
  if (row.kind === 'bool') {
    if (text === 'true' || text === 'false') return text === 'true';
    throw configError(at, `${key}: '${text}' is not allowed; use true or false`);
  }
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= row.min && value <= row.max) return value;
  throw configError(at, `${key}: '${text}' is not a whole number from ${row.min} to ${row.max}`);
}

function refuseTrailingComment(
  key: string,
  entry: PropertyEntry,
  at: { path: string; line: number },
): void {
  if (!/\s[#!]/.test(entry.value)) return;
  throw configError(
    at,
    `${key}: '${entry.value}' has a comment behind the value, which .properties files take as text`,
    'put the comment on a line of its own',
  );
}

function unknownKey(key: string, at: { path: string; line: number }) {
  const nearest = nearestKey(key, [...Object.keys(BROKER_KEYS), ...UNSUPPORTED_KEYS.keys()]);
  const hint = nearest === undefined ? undefined : `did you mean ${nearest}?`;
  const tail = nearest === undefined ? '' : `; nearest known key: ${nearest}`;
  return configError(at, `unknown key ${key}${tail}`, hint);
}

/** Fills what depends on other keys or on the environment. */
function complete(config: BrokerConfig): BrokerConfig {
  if (config.storePathCommitLog === '' && config.storePathRootDir !== '') {
    config.storePathCommitLog = `${config.storePathRootDir}/commitlog`;
  }
  if (config.brokerIP2 === '') config.brokerIP2 = config.brokerIP1;
  if (config.namesrvAddr === '') config.namesrvAddr = readEnv('NAMESRV_ADDR') ?? '';
  return config;
}

function checkRole(config: BrokerConfig, file: PropertiesFile, warnings: string[]): void {
  const line = file.entries.get('brokerRole')?.line;
  const at = line === undefined ? { path: file.path } : { path: file.path, line };
  if (config.brokerRole === 'SLAVE') {
    throw configError(
      at,
      'brokerRole: SLAVE is not supported; use ASYNC_MASTER',
      'a copy in another region is run by `dr standby`',
    );
  }
  if (config.brokerRole === 'SYNC_MASTER') {
    warnings.push(`${file.path}:${line}: brokerRole SYNC_MASTER acts as ASYNC_MASTER here`);
  }
  if (config.brokerId !== 0) {
    const idLine = file.entries.get('brokerId')?.line;
    warnings.push(`${file.path}:${idLine}: brokerId is forced to 0 for a master, as Apache does`);
    config.brokerId = 0;
  }
}

function checkPorts(config: BrokerConfig, file: PropertiesFile): void {
  if (config.listenPort === 0 || config.listenPort > 2) return;
  const line = file.entries.get('listenPort')?.line;
  const at = line === undefined ? { path: file.path } : { path: file.path, line };
  throw configError(at, `listenPort: ${config.listenPort} leaves no VIP port (listenPort - 2)`);
}
