// The reference of the .properties files, made from the tables that load them and never written by hand:
// one row per key that has an effect, with default, what is allowed and when a change takes effect.
// Defaults that differ from machine to machine are given in words.
import type { Setting } from '../../core-broker/base/index.ts';
import { BROKER_KEYS, type BrokerKey } from '../../core-broker/broker/index.ts';
import { GLOBAL_KEYS, NAMESERVER_KEYS } from '../../core-broker/nameserver/index.ts';
import { GATEWAY_KEYS } from '../../switchover/index.ts';

const MACHINE_DEFAULTS: Record<string, string> = {
  brokerName: 'name of the host',
  brokerIP1: 'first public address of the host',
  storePathRootDir: '`~/store`',
};
const NO_LIMIT = 2 ** 31 - 1;

type Key = BrokerKey | Setting;

const defaultOf = (name: string, { initial }: Key): string =>
  MACHINE_DEFAULTS[name] ?? (initial === '' ? '-' : `\`${initial}\``);

function allowedBy(key: Key): string {
  if (key.kind === 'bool') return 'true, false';
  if (key.kind === 'enum') return key.allowed.join(', ');
  if (key.kind === 'text') return 'form' in key ? (key.form?.words ?? '') : '';
  const least = key.min > 0 ? [`≥ ${key.min}`] : [];
  return [...least, ...(key.max < NO_LIMIT ? [`≤ ${key.max}`] : [])].join(', ');
}

/** Keys of a broker file; "at once" = code 25 changes it while the broker runs. */
export function brokerTable(): string {
  const rows = Object.entries<BrokerKey>(BROKER_KEYS).map(([name, key]) => {
    const effect = key.live === true ? 'at once' : 'next start';
    const cells = [`\`${name}\``, defaultOf(name, key), allowedBy(key), effect, key.meaning];
    return `| ${cells.join(' | ')} |`;
  });
  return ['| Key | Default | Allowed | Change | Meaning |', '|---|---|---|---|---|', ...rows].join(
    '\n',
  );
}

/** Keys of a name server's file, the global ones last; TLS and credentials are those of a broker. */
export const nameserverTable = (): string => table({ ...NAMESERVER_KEYS, ...GLOBAL_KEYS });

export const gatewayTable = (): string => table(GATEWAY_KEYS);

function table(keys: Record<string, Setting>): string {
  const rows = Object.entries(keys).map(
    ([name, key]) =>
      `| \`${name}\` | ${defaultOf(name, key)} | ${allowedBy(key)} | ${inCell(key.meaning)} |`,
  );
  return ['| Key | Default | Allowed | Meaning |', '|---|---|---|---|', ...rows].join('\n');
}

const inCell = (text: string): string => text.replaceAll('|', '\\|');
