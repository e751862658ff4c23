// The four kinds of configuration files, how one is recognised, and every problem of a file at once:
// each key is compiled on its own first, then the file as a whole, so that one run names all mistakes.
import {
  DrError,
  type PropertiesFile,
  readPropertiesFile,
  readSettings,
  type SettingTable,
} from '../../../core-broker/base/index.ts';
import {
  BROKER_KEYS,
  compileBrokerConfig,
  loadBrokerConfig,
  UNSUPPORTED_KEYS,
} from '../../../core-broker/broker/index.ts';
import {
  GLOBAL_KEYS,
  INERT_KEYS,
  loadNameserverConfig,
  NAMESERVER_KEYS,
  SECURITY_KEYS,
} from '../../../core-broker/nameserver/index.ts';
import { GATEWAY_KEYS, GATEWAY_TLS_KEYS, loadGatewayConfig } from '../../../switchover/index.ts';
import { loadDrConfig } from '../../config/dr-config.ts';

export const KINDS = ['dr', 'broker', 'nameserver', 'gateway'] as const;
export type Kind = (typeof KINDS)[number];

export const NAMESERVER_TABLE: SettingTable = {
  ...NAMESERVER_KEYS,
  ...SECURITY_KEYS,
  ...GLOBAL_KEYS,
};
export const GATEWAY_TABLE: SettingTable = { ...GATEWAY_KEYS, ...GATEWAY_TLS_KEYS };

const KNOWN: Record<Exclude<Kind, 'dr'>, (key: string) => boolean> = {
  broker: (key) => Object.hasOwn(BROKER_KEYS, key) || UNSUPPORTED_KEYS.has(key),
  nameserver: (key) => Object.hasOwn(NAMESERVER_TABLE, key) || INERT_KEYS.has(key),
  gateway: (key) => Object.hasOwn(GATEWAY_TABLE, key),
};

/** dr.yaml by its ending; the others by the keys inside, then by the name of the file. */
export function kindOf(file: string): Kind {
  if (/\.ya?ml$/.test(file)) return 'dr';
  const keys = [...readPropertiesFile(file).entries.keys()];
  const scores = (['broker', 'nameserver', 'gateway'] as const).map((kind) => ({
    kind,
    score: keys.filter((key) => KNOWN[kind](key)).length + (isNamedLike(file, kind) ? 0.5 : 0),
  }));
  scores.sort((left, right) => right.score - left.score);
  const [best, second] = scores;
  if (best && second && best.score > second.score) return best.kind;
  throw new DrError('USAGE', `${file}: cannot tell what this file is; say --kind`);
}

const isNamedLike = (file: string, kind: Kind): boolean =>
  kind === 'nameserver' ? /namesrv|nameserver/i.test(file) : file.includes(kind);

export interface Findings {
  /** `file:line: problem`, with the nearest key where one is near. */
  problems: { message: string; hint: string | undefined }[];
  warnings: string[];
}

export function findingsOf(file: string, kind: Kind): Findings {
  const found: Findings = { problems: [], warnings: [] };
  if (kind !== 'dr') {
    const properties = readPropertiesFile(file);
    eachKey(properties, kind, found);
    found.warnings.push(...givenTwice(properties));
  }
  if (found.problems.length > 0) return found;
  try {
    found.warnings.push(...loadWhole(file, kind));
  } catch (reason) {
    const failure = DrError.from(reason);
    if (!DrError.is(failure, 'CONFIG', 'AUTH')) throw failure;
    const all = failure.context['problems'];
    const messages = Array.isArray(all) ? all.map(String) : [failure.message];
    found.problems = messages.map((message, at) => ({
      message,
      hint: at === 0 ? failure.hint : undefined,
    }));
  }
  return found;
}

const givenTwice = ({ path, entries }: PropertiesFile): string[] =>
  [...entries].flatMap(([key, { line, earlierLine }]) => {
    if (earlierLine === undefined) return [];
    return `${path}:${line}: ${key} is given twice: line ${earlierLine} does not count`;
  });

function eachKey(file: PropertiesFile, kind: Exclude<Kind, 'dr'>, found: Findings): void {
  for (const entry of file.entries) {
    const alone: PropertiesFile = { path: file.path, entries: new Map([entry]) };
    try {
      if (kind === 'broker') compileBrokerConfig(alone);
      else if (kind === 'nameserver') readSettings(alone, NAMESERVER_TABLE, INERT_KEYS);
      else readSettings(alone, GATEWAY_TABLE, new Map());
    } catch (reason) {
      const { message, hint } = DrError.from(reason);
      found.problems.push({ message, hint });
    }
  }
}

function loadWhole(file: string, kind: Kind): string[] {
  if (kind === 'broker') return loadBrokerConfig(file).warnings;
  if (kind === 'nameserver') return loadNameserverConfig(file).warnings;
  if (kind === 'gateway') return loadGatewayConfig(file).warnings;
  loadDrConfig(file);
  return [];
}
