// dr config example [KIND]: a commented file with every key, made from the tables that read such files.
// Keys that must be given are given; all others stand as comments with their defaults.

import { DrError } from '../../../core-broker/base/index.ts';
import { BROKER_KEYS } from '../../../core-broker/broker/index.ts';
import type { CommandInput } from '../../command.ts';
import { configExample } from '../../config/reference.ts';
import { EXIT } from '../../exit-status.ts';
import { printAnswer } from '../../output.ts';
import { GATEWAY_TABLE, KINDS, type Kind, NAMESERVER_TABLE } from './kinds.ts';

interface Row {
  meaning: string;
  initial: string | number | boolean;
}

const GIVEN: Record<Exclude<Kind, 'dr'>, Record<string, string>> = {
  broker: {
    brokerClusterName: 'DefaultCluster',
    brokerName: 'broker-a',
    namesrvAddr: '127.0.0.1:9876',
    listenPort: '10911',
    storePathRootDir: '/var/lib/rocketmq/store',
  },
  nameserver: { listenPort: '9876', scanNotActiveBrokerInterval: '5000' },
  gateway: {
    drListen: 'broker-a=0.0.0.0:20911',
    drRegions: 'east=broker-a=10.0.0.1:10911|west=broker-a=10.1.0.1:10911',
    drActiveRegion: 'east',
    drStatePath: './gateway-state.json',
    drSecretFile: './dr.secret',
    drControlPort: '20900',
  },
};

/** Keys whose default is of this machine: shown without it. */
const MACHINE_KEYS = /^(brokerIP1|brokerIP2|storePath)/;

function propertiesExample(kind: Exclude<Kind, 'dr'>): string {
  const table: Record<string, Row> =
    kind === 'broker' ? BROKER_KEYS : kind === 'nameserver' ? NAMESERVER_TABLE : GATEWAY_TABLE;
  const given = GIVEN[kind];
  const blocks = Object.entries(table).map(([key, { meaning, initial }]) => {
    const value = given[key];
    if (value !== undefined) return `# ${meaning}\n${key}=${value}`;
    return `# ${meaning}\n#${key}=${MACHINE_KEYS.test(key) ? '' : String(initial)}`;
  });
  return `# Configuration of a ${kind}; start it with: dr ${kind} -c FILE\n\n${blocks.join('\n\n')}`;
}

export function exampleOf(kind: Kind): string {
  return kind === 'dr' ? configExample() : propertiesExample(kind);
}

export function runExample(input: CommandInput): Promise<number> {
  const kind = KINDS.find((name) => name === (input.args[0] ?? 'dr'));
  if (kind === undefined) {
    throw new DrError('USAGE', `no example of '${input.args[0]}'; there are ${KINDS.join(', ')}`);
  }
  printAnswer('table', { json: null, text: exampleOf(kind) });
  return Promise.resolve(EXIT.DONE);
}
