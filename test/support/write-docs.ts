// Writes the parts of the documentation that are made from the code: `npm run docs`.
// test/docs.test.ts fails when they are old.

import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  brokerTable,
  gatewayTable,
  nameserverTable,
} from '../../cli/config/properties-reference.ts';
import { configTable } from '../../cli/config/reference.ts';
import { EXIT_TEXT } from '../../cli/exit-status.ts';
import { ENVIRONMENT } from '../../core-broker/base/index.ts';
import { mermaid } from '../../switchover/index.ts';
import { ROOT } from './source-tree.ts';

const exits = [
  '| Status | Meaning |',
  '|---|---|',
  ...Object.entries(EXIT_TEXT).map(([s, t]) => `| ${s} | ${t} |`),
].join('\n');
const env = [
  '| Variable | Meaning |',
  '|---|---|',
  ...Object.entries(ENVIRONMENT).map(([s, t]) => `| \`${s}\` | ${t} |`),
].join('\n');
fs.writeFileSync(
  path.join(ROOT, 'docs/configuration.md'),
  `# Configuration

The tables on this page are made from the code and held against it by \`test/docs.test.ts\`.

## dr.yaml

One file per region; both regions have the same content except \`region\`. Unknown keys are errors with file, line and column. \`*\` stands for a
name of your own. Relative paths count from the folder of the file. \`./dr config example\` prints a file that loads.

${configTable()}

## Broker, name server and gateway files

Apache \`.properties\` files load unchanged. A key of Apache 4.9.7 or 5.5.0 that has no effect here is a warning at start, by name; any other
key is an error with file, line and the nearest known key. \`./dr config validate FILE\` says all of it without starting anything.

In a \`.properties\` file a value reaches to the end of its line: comments stand on lines of their own. All times of day are local.

### Keys of a broker

Keys that begin with \`dr\`, \`aclPlainFile\`, \`scrubBytesPerSecond\`, \`appendTopicForTimerDeleteKey\` and \`tls.*\` are ours or are Java properties with
Apache; all others mean what they mean there. "At once": \`dr admin updateBrokerConfig\`, \`mqadmin\` or the dashboard change it while the
broker runs, and the change is written into the file of \`-c\`. "Next start": the same command writes the file only.

${brokerTable()}

### Keys of a name server

\`drHttpPort\`, \`drHttpHost\` and the keys from \`drMode\` on are ours; those from \`drRegions\` on need \`drMode\`. The \`tls.*\` keys,
\`useTLS\` and \`drCredentialsFile\` are those of a broker. \`updateNamesrvConfig\` changes all others while the name server runs, \`listenPort\`,
\`bindAddress\`, the idle time and the HTTP port with the next start.

${nameserverTable()}

### Keys of a gateway

${gatewayTable()}

## Environment

${env}

## Exit status of every command

${exits}
`,
);
let a = fs.readFileSync(path.join(ROOT, 'ARCHITECTURE.md'), 'utf8');
const block = `## The switch as a table\n\nPrinted by \`./dr switchover fsm --mermaid\`; \`test/docs.test.ts\` fails when this picture differs from the code.\n\n\`\`\`mermaid\n${mermaid().trim()}\n\`\`\`\n`;
const rest = a.replace(/\n## The switch as a table[\s\S]*?```\n(?=\n|$)/, '').trimEnd();
a = `${rest}\n\n${block}`;
fs.writeFileSync(path.join(ROOT, 'ARCHITECTURE.md'), a);
