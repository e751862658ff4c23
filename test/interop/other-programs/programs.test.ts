// Programs that no other file runs: Apache's Java clients of 2017 to 2023, and a Python program over Apache's
// C++ client. The same program against a stock 5.5.0 region and against our broker behind our name
// server; each case is a test of its own and must end alike at both.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AdminClient } from '../../../core-broker/client/index.ts';
import { freePort } from '../../support/dr-parts.ts';
import { Child } from '../peers/child.ts';
import { ensurePeers, jarsOf, pythonLibrary } from '../peers/install.ts';
import { SHORT_LIVED_JVM } from '../peers/jvm.ts';
import { ourRegion, type Region, stockRegion } from '../peers/region.ts';

const HERE = import.meta.dirname;
const JAVA = ['client-4.2.0', 'client-4.7.1', 'client-5.1.4'] as const;
const PYTHON_TOPIC = 'python';
const SENT = ['async', 'k0', 'k1', 'k2', 'k3', 'large', 'later', 'o0', 'o1', 'o2', 'oneway'];

/** What every good broker makes of them. */
const JAVA_VERDICTS: Record<string, string> = {
  'made-topics': '[3]',
  sends: '[SEND_OK, SEND_OK, 3, SEND_OK 10 10]',
  'vip-port': '[v1, v2, v3]',
  'odd-properties':
    '[hash -717541969 flag -7, {WAIT=true} flag 0, {KEYS=a b  c a, TAGS=t, WAIT=true} flag 0, ' +
    'hash -1211150052 flag 0, 2, 1, 1, 1, 1, 1, 1]',
  limits:
    '[body SEND_OK, body code 13, property SEND_OK, property code 13, property code 13, ' +
    'properties SEND_OK, properties code 13, level SEND_OK, queue code 29]',
  'large-bodies': '[2600000 crc 844988007 is 1587849217, 3500000 crc 1621402208 is -1503564689]',
  queries: '[same, 5, code 208, 40, code 208, 0 0 -1, 40 0]',
  pulls:
    '[FOUND 32 next 32 of 0-40, NO_NEW_MSG 0 next 40 of 0-40, OFFSET_ILLEGAL 0 next 40 of 0-40, ' +
    'FOUND 10 next 40 of 0-40, NO_MATCHED_MSG 0 next 40 of 0-40, FOUND 1 next 4 of 0-40, ' +
    'FOUND 32 next 32 of 0-40, code 29, code 17]',
  'sent-back':
    '[0 {KEYS=back, TAGS=TagA, WAIT=true}, ' +
    '1 {DELAY=1, KEYS=back, RETRY_TOPIC=TOPIC, TAGS=TagA, WAIT=false}]',
  'dead-letter': '1 {DELAY=0, KEYS=doomed, RETRY_TOPIC=TOPIC, TAGS=TagA, WAIT=false}',
  'same-hash': '[AaAa, 标签]',
};
const PYTHON_VERDICTS: Record<string, string> = {
  sync: '[0, 0, 0, 0]',
  async: "['ok']",
  oneway: 'None',
  orderly: '[0, 0, 0]',
  large: '0',
  delayed: '0',
  push: `[${SENT.map((key) => `('${key}', '${sizeOf(key)} TagA 値')`).join(', ')}]`,
  'push-orderly': "['o0', 'o1', 'o2']",
  pull: `[${SENT.map((key) => `'${key}'`).join(', ')}]`,
};

function sizeOf(key: string): number {
  if (key === 'large') return 100_000;
  return key.startsWith('o') && key !== 'oneway' ? 'in order'.length : 1;
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-programs-'));

const SITES = {
  'a stock 5.5.0 region': () => stockRegion(folder),
  // A port of its own: the VIP port is two below.
  'our broker': async () =>
    ourRegion(path.join(folder, 'ours'), { listenPort: await freePort(true) }),
} as const;
const open: Region[] = [];
const children: Child[] = [];
const verdicts = new Map<string, Map<string, string>>();

/** Runs a program to its end; what it printed is for the tests. */
async function run(site: string, program: string, command: string, args: string[]): Promise<void> {
  const home = path.join(folder, `${site} ${program}`);
  fs.mkdirSync(home);
  const child = new Child({
    ...{ command, args, logFile: path.join(home, 'log'), cwd: home },
    env: { HOME: home, PYTHONPATH: pythonLibrary() },
  });
  children.push(child);
  await child.exited;
  const lines = child.output().matchAll(/^CASE (\S+) (.*)$/gm);
  const found = new Map([...lines].map(([, name = '', verdict = '']) => [name, verdict]));
  verdicts.set(`${site} ${program}`, found);
  if (!child.output().includes('DONE')) throw new Error(`${program}: ${child.output()}`);
}

async function runAll(name: string, site: Region): Promise<void> {
  const admin = new AdminClient({ nameservers: [site.namesrv] });
  await admin.createTopic(site.broker, { topic: PYTHON_TOPIC, queues: 4 });
  admin.close();
  const namesrv = `namesrv=${site.namesrv}`;
  const script = path.join(HERE, 'python_client.py');
  const python = () => run(name, 'python', 'python3', [script, namesrv, `topic=${PYTHON_TOPIC}`]);
  await Promise.all([python(), runJava(name, namesrv)]);
}

async function runJava(name: string, namesrv: string): Promise<void> {
  // Netty of 2017 wants to see into java.nio.
  const opens = '--add-opens=java.base/java.nio=ALL-UNNAMED';
  const quiet = '-Drocketmq.client.logUseSlf4j=false';
  const jvm = ['-Xmx256m', ...SHORT_LIVED_JVM, opens, quiet];
  for (const client of JAVA) {
    const home = `-Duser.home=${path.join(folder, `${name} ${client}`)}`;
    const program = ['-cp', jarsOf(client), path.join(HERE, 'OlderClients.java')];
    const prefix = `prefix=${client.replaceAll('.', '_')}`;
    await run(name, client, 'java', [...jvm, home, ...program, namesrv, prefix]);
  }
}

beforeAll(async () => {
  await ensurePeers('server-5.5.0', 'python-client', ...JAVA);
  const runs = Object.entries(SITES).map(async ([name, start]) => {
    const site = await start();
    open.push(site);
    await runAll(name, site);
  });
  await Promise.all(runs);
});
afterAll(async () => {
  for (const child of children) child.kill();
  for (const site of open) await site.close();
  fs.rmSync(folder, { recursive: true, force: true });
});

describe.each(Object.keys(SITES))('%s', (site) => {
  describe.each(JAVA)('%s', (client) => {
    test.each(Object.keys(JAVA_VERDICTS))('%s', (name) => {
      expect(verdicts.get(`${site} ${client}`)?.get(name)).toBe(JAVA_VERDICTS[name]);
    });
  });
  test.each(Object.keys(PYTHON_VERDICTS))('Python: %s', (name) => {
    expect(verdicts.get(`${site} python`)?.get(name)).toBe(PYTHON_VERDICTS[name]);
  });
});
