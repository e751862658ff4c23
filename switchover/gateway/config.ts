// Configuration of a gateway: where it listens for each broker name, where that broker is in each
// region, and the control port that flips it. Same .properties syntax and strictness as brokers and name
// servers; every key is ours, so there are no keys without effect. Source: ours.
import * as path from 'node:path';
import {
  configError,
  type HostPort,
  intSetting,
  type PropertiesFile,
  parseHostPort,
  parsePairs,
  readPropertiesFile,
  readSettings,
  readTextIfExists,
  Secret,
  type SettingsOf,
  type TextSetting,
  textSetting,
} from '../../core-broker/base/index.ts';
import {
  TLS_KEYS,
  type TlsKey,
  type TlsServerSettings,
  tlsSettings,
} from '../../core-broker/remoting/index.ts';

export const GATEWAY_KEYS = {
  drListen: textSetting('', 'broker-a=0.0.0.0:20911,...: where clients of each broker connect'),
  drRegions: textSetting('', 'east=broker-a=host:port;broker-b=host:port|west=...: real brokers'),
  drActiveRegion: textSetting('', 'region that is active until the first flip'),
  drStatePath: textSetting('', 'file that keeps the active region and its epoch'),
  drSecretFile: textSetting('', 'file with the secret that signs DR requests'),
  drControlPort: intSetting(0, 'port for flips and their status', { max: 65_535 }),
  drControlAddress: textSetting('0.0.0.0', 'local address of the control port'),
} as const;

/** TLS of the control port; what clients send is passed on as it is, with TLS or without. */
export const GATEWAY_TLS_KEYS = Object.fromEntries(
  Object.entries(TLS_KEYS).map(([key, { meaning }]) => [key, textSetting('', meaning)]),
) as { [K in TlsKey]: TextSetting };

type GatewaySettings = SettingsOf<typeof GATEWAY_KEYS>;

export interface GatewayConfig {
  /** Broker name -> where clients connect; port 0 = chosen by the system. */
  listen: Map<string, HostPort>;
  /** Region -> broker name -> `host:port` of its main listener. */
  regions: Map<string, Map<string, HostPort>>;
  initialRegion: string;
  statePath: string;
  control: HostPort;
  /** Of the control port. */
  tls: TlsServerSettings;
  secret: Secret;
  warnings: string[];
}

/**
 * Loads the configuration of a gateway.
 * @throws DrError CONFIG with file, line, key and what is allowed
 */
export function loadGatewayConfig(file: string): GatewayConfig {
  const properties = readPropertiesFile(file);
  const { values, warnings } = readSettings(
    properties,
    { ...GATEWAY_KEYS, ...GATEWAY_TLS_KEYS },
    new Map(),
  );
  for (const key of Object.keys(GATEWAY_KEYS) as (keyof typeof GATEWAY_KEYS)[]) {
    if (values[key] === '') throw keyError(properties, key, 'must be given');
  }
  const regions = readRegions(properties, values);
  const listen = readListen(properties, values);
  for (const [region, brokers] of regions) {
    const missing = [...listen.keys()].find((name) => !brokers.has(name));
    if (missing === undefined) continue;
    throw keyError(properties, 'drRegions', `${region} does not say where ${missing} is`);
  }
  return {
    listen,
    regions,
    initialRegion: values.drActiveRegion,
    statePath: path.resolve(path.dirname(file), values.drStatePath),
    control: { host: values.drControlAddress, port: values.drControlPort },
    tls: tlsSettings(values, path.dirname(path.resolve(file))).server,
    secret: readSecret(properties, values.drSecretFile),
    warnings,
  };
}

function keyError(file: PropertiesFile, key: string, problem: string) {
  const line = file.entries.get(key)?.line;
  const at = line === undefined ? { path: file.path } : { path: file.path, line };
  const setting = GATEWAY_KEYS[key as keyof typeof GATEWAY_KEYS];
  return configError(at, `${key}: ${problem}`, setting.meaning);
}

function readListen(file: PropertiesFile, values: GatewaySettings): Map<string, HostPort> {
  const listen = addressPairs(values.drListen, ',');
  if (typeof listen === 'string') throw keyError(file, 'drListen', listen);
  return listen;
}

function readRegions(file: PropertiesFile, values: GatewaySettings): GatewayConfig['regions'] {
  const parts = parsePairs(values.drRegions, '|');
  if (typeof parts === 'string') throw keyError(file, 'drRegions', parts);
  const regions: GatewayConfig['regions'] = new Map();
  for (const [region, list] of parts) {
    const brokers = addressPairs(list, ';');
    if (typeof brokers === 'string') throw keyError(file, 'drRegions', `${region}: ${brokers}`);
    regions.set(region, brokers);
  }
  if (regions.has(values.drActiveRegion)) return regions;
  const allowed = [...regions.keys()].join(', ');
  throw keyError(file, 'drActiveRegion', `'${values.drActiveRegion}' is not one of ${allowed}`);
}

/** `name=host:port` pairs, or what is wrong with them. */
function addressPairs(text: string, separator: string): Map<string, HostPort> | string {
  const pairs = parsePairs(text, separator);
  if (typeof pairs === 'string') return pairs;
  const addresses = new Map<string, HostPort>();
  for (const [name, address] of pairs) {
    const parsed = parseHostPort(address);
    if (!parsed) return `${name}: '${address}' is not host:port`;
    addresses.set(name, parsed);
  }
  return addresses.size > 0 ? addresses : 'is empty';
}

function readSecret(file: PropertiesFile, name: string): Secret {
  const secretPath = path.resolve(path.dirname(file.path), name);
  const text = readTextIfExists(secretPath)?.trim();
  if (!text) throw keyError(file, 'drSecretFile', `${secretPath} is missing or empty`);
  return new Secret(text);
}
