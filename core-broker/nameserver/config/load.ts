// Reads the .properties file of a name server into one value: a regional one, or a global one when
// drMode is set. All complaints carry file, line and what is allowed; nothing is guessed for a global
// name server, because a wrong state file or region would send clients to the wrong side.
import * as path from 'node:path';
import {
  configError,
  homeFolder,
  initialSettings,
  type PropertiesFile,
  parseAddresses,
  parsePairs,
  readPropertiesFile,
  readSettings,
  readTextIfExists,
  Secret,
} from '../../base/index.ts';
import { type TlsSettings, tlsSettings } from '../../remoting/index.ts';
import {
  GLOBAL_KEYS,
  INERT_KEYS,
  NAMESERVER_KEYS,
  type NameserverSettings,
  SECURITY_KEYS,
} from './keys.ts';

export interface NameserverConfig {
  /** Live values: code 318 changes them. */
  settings: NameserverSettings;
  /** Known keys without effect, shown by code 319. */
  ignored: Map<string, string>;
  /** Complaints for the operator at start. */
  warnings: string[];
  /** TLS of its port and of its calls. */
  tls: TlsSettings;
  /** File with the keys that sign its calls; empty = none. */
  credentialsFile: string;
  /** Set for a global name server. */
  global: GlobalConfig | undefined;
}

export interface GlobalConfig {
  /** dual: both regions write and routes are merged. */
  mode: 'global' | 'dual';
  /** Region -> regional name servers `host:port`, in order of preference. */
  regions: Map<string, string[]>;
  initialRegion: string;
  statePath: string;
  /** Broker name -> gateway `host:port`. */
  gateways: Map<string, string>;
  secret: Secret;
  pollIntervalMs: number;
}

const TABLE = { ...NAMESERVER_KEYS, ...SECURITY_KEYS, ...GLOBAL_KEYS };

/**
 * Loads the configuration of a name server of either kind.
 * @throws DrError CONFIG with file, line, key and what is allowed
 */
export function loadNameserverConfig(file: string): NameserverConfig {
  const properties = readPropertiesFile(file);
  const { values, warnings, ignored } = readSettings(properties, TABLE, INERT_KEYS);
  const settings = withPaths(pick(values), file);
  const security = securityOf(values, path.dirname(path.resolve(file)));
  if (values.drMode !== '') {
    return { settings, ignored, warnings, ...security, global: globalConfig(properties, values) };
  }
  const stray = Object.keys(GLOBAL_KEYS).find((key) => properties.entries.has(key));
  if (stray !== undefined) throw keyError(properties, stray, 'needs drMode=global or drMode=dual');
  return { settings, ignored, warnings, ...security, global: undefined };
}

/** A regional configuration without a file: defaults plus `changes`. */
export function regionalConfig(
  changes: Partial<NameserverSettings> & { configStorePath: string; kvConfigPath: string },
): NameserverConfig {
  const settings = { ...initialSettings(NAMESERVER_KEYS), ...changes };
  const security = { tls: tlsSettings({}, '.'), credentialsFile: '' };
  return { settings, ignored: new Map(), warnings: [], ...security, global: undefined };
}

function securityOf(values: AllSettings, folder: string) {
  const enable = values.useTLS ? { 'tls.enable': 'true' } : {};
  const file = values.drCredentialsFile;
  return {
    tls: tlsSettings({ ...values, ...enable }, folder),
    credentialsFile: file === '' ? '' : path.resolve(folder, file),
  };
}

function pick(values: NameserverSettings): NameserverSettings {
  const keys = Object.keys(NAMESERVER_KEYS) as (keyof NameserverSettings)[];
  return Object.fromEntries(keys.map((key) => [key, values[key]])) as NameserverSettings;
}

function withPaths(settings: NameserverSettings, file: string): NameserverSettings {
  return {
    ...settings,
    kvConfigPath: settings.kvConfigPath || kvConfigAtHome(file),
    configStorePath: settings.configStorePath || path.resolve(file),
  };
}

function kvConfigAtHome(file: string): string {
  const home = homeFolder();
  if (home !== undefined) return path.join(home, 'namesrv', 'kvConfig.json');
  throw configError(
    { path: file },
    'kvConfigPath is not set, and its default is a file in the home of a user who has none',
    'set kvConfigPath to a file that the name server may write',
  );
}

function keyError(file: PropertiesFile, key: string, problem: string) {
  const line = file.entries.get(key)?.line;
  const at = line === undefined ? { path: file.path } : { path: file.path, line };
  return configError(at, `${key}: ${problem}`, TABLE[key as keyof typeof TABLE].meaning);
}

type AllSettings = ReturnType<typeof initialSettings<typeof TABLE>>;

function globalConfig(file: PropertiesFile, values: AllSettings): GlobalConfig {
  const mode = values.drMode;
  if (mode !== 'global' && mode !== 'dual') {
    throw keyError(file, 'drMode', `'${mode}' is not global or dual`);
  }
  for (const key of ['drRegions', 'drActiveRegion', 'drStatePath', 'drSecretFile'] as const) {
    if (values[key] === '') throw keyError(file, key, `must be given with drMode=${mode}`);
  }
  const regions = readRegions(file, values.drRegions);
  if (!regions.has(values.drActiveRegion)) {
    const allowed = [...regions.keys()].join(', ');
    throw keyError(file, 'drActiveRegion', `'${values.drActiveRegion}' is not one of ${allowed}`);
  }
  return {
    mode,
    regions,
    initialRegion: values.drActiveRegion,
    statePath: path.resolve(path.dirname(file.path), values.drStatePath),
    gateways: readGateways(file, values.drGateways),
    secret: readSecret(file, values.drSecretFile),
    pollIntervalMs: values.drPollIntervalMs,
  };
}

function readRegions(file: PropertiesFile, text: string): Map<string, string[]> {
  const parts = parsePairs(text, '|');
  if (typeof parts === 'string') throw keyError(file, 'drRegions', parts);
  const regions = new Map<string, string[]>();
  for (const [region, list] of parts) {
    const addresses = parseAddresses(list, ';');
    if (typeof addresses === 'string') throw keyError(file, 'drRegions', `${region}: ${addresses}`);
    regions.set(region, addresses);
  }
  return regions;
}

function readGateways(file: PropertiesFile, text: string): Map<string, string> {
  const parts = parsePairs(text, ',');
  if (typeof parts === 'string') throw keyError(file, 'drGateways', parts);
  for (const [broker, address] of parts) {
    const parsed = parseAddresses(address, ';');
    if (typeof parsed === 'string') throw keyError(file, 'drGateways', `${broker}: ${parsed}`);
  }
  return parts;
}

function readSecret(file: PropertiesFile, name: string): Secret {
  const secretPath = path.resolve(path.dirname(file.path), name);
  const text = readTextIfExists(secretPath)?.trim();
  if (!text) throw keyError(file, 'drSecretFile', `${secretPath} is missing or empty`);
  return new Secret(text);
}
