// dr config validate | example: says what is wrong with a file before a process meets it at 3 am.

import { DrError } from '../../core-broker/base/index.ts';
import { loadBrokerConfig } from '../../core-broker/broker/index.ts';
import { loadNameserverConfig } from '../../core-broker/nameserver/index.ts';
import { loadGatewayConfig } from '../../switchover/index.ts';
import type { CommandInput } from '../command.ts';
import { loadDrConfig } from '../config/dr-config.ts';
import { configExample } from '../config/reference.ts';
import { EXIT } from '../exit-status.ts';
import { formatOf, printAnswer } from '../output.ts';

type Kind = 'dr' | 'broker' | 'nameserver' | 'gateway';

const CHECKS: Record<Kind, (file: string) => string[]> = {
  dr: (file) => {
    loadDrConfig(file);
    return [];
  },
  broker: (file) => loadBrokerConfig(file).warnings,
  nameserver: (file) => loadNameserverConfig(file).warnings,
  gateway: (file) => loadGatewayConfig(file).warnings,
};

/** `dr config validate FILE`: exit 0 or 2; warnings name what will not be honoured. */
export function runValidate(input: CommandInput): Promise<number> {
  const [file = ''] = input.args;
  const kind = (input.options['kind'] as Kind | undefined) ?? guessKind(file);
  const warnings = CHECKS[kind](file);
  const format = formatOf(input);
  printAnswer(format, {
    json: { file, kind, valid: true, warnings },
    text: [`${file}: a valid ${kind} configuration`, ...warnings].join('\n'),
  });
  return Promise.resolve(EXIT.DONE);
}

/** dr.yaml by its ending; .properties by its name. */
function guessKind(file: string): Kind {
  if (/\.ya?ml$/.test(file)) return 'dr';
  if (/gateway/i.test(file)) return 'gateway';
  if (/namesrv|nameserver/i.test(file)) return 'nameserver';
  if (/\.(properties|conf)$/.test(file)) return 'broker';
  throw new DrError('USAGE', `${file}: cannot tell what this file is; say --kind`);
}

/** `dr config example`. */
export function runExample(): Promise<number> {
  printAnswer('table', { json: null, text: configExample() });
  return Promise.resolve(EXIT.DONE);
}
