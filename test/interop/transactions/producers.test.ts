// Apache's transaction producers 4.9.8 and 5.5.0: the same program against ours and a stock 5.5.0.
import { type ChildProcess, spawn } from 'node:child_process';
import * as path from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../cli/demo/process.ts';
import { AdminClient } from '../../../core-broker/client/index.ts';
import { RequestCode } from '../../../core-broker/protocol/index.ts';
import { TransactionClient } from '../../support/transactions.ts';
import { ensurePeers, jarsOf } from '../peers/install.ts';
import { SHORT_LIVED_JVM } from '../peers/jvm.ts';
import { type Holder, PATIENCE, QUICK, Site } from './site.ts';

const PROGRAM = path.join(import.meta.dirname, '../clients/java/Transactor.java');
const CLIENTS = ['client-5.5.0', 'client-4.9.8'] as const;
const EACH = 3;
const NEVER_MS = 86_400_000;

let site: Site;
const children: ChildProcess[] = [];

beforeAll(async () => {
  await ensurePeers('server-5.5.0', ...CLIENTS);
  site = await Site.open();
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => site.close());

describe.each(['5.5.0', 'ours'] as const)('transaction producers at %s', (kind) => {
  let broker: Holder;
  beforeAll(async () => {
    broker = await site.broker(kind, `store-${kind}`, { ...QUICK, transactionTimeOut: NEVER_MS });
  });
  afterAll(() => broker.kill());

  test.each(CLIENTS)('%s commits, rolls back, and is asked back', async (client) => {
    const topic = `tx-${client.replaceAll('.', '_')}`;
    const admin = new AdminClient({ nameservers: [site.nameserver.address] });
    await admin.createTopic(broker.address, { topic, queues: 1 });
    admin.close();
    const reader = new TransactionClient(() => broker.address);
    const dueAfter = (ms: number) =>
      reader.call(RequestCode.UPDATE_BROKER_CONFIG, {}, `transactionTimeOut=${ms}\n`);
    await dueAfter(NEVER_MS);
    const lines = run(client, { topic, group: `${topic}-group`, prefix: kind, each: EACH });
    await waitFor('all half messages', () => lines.includes('DONE'), PATIENCE);
    // Not before: a client that was just started may take seconds from a half message to its end.
    await dueAfter(1_000);
    const keys = (plan: string) => Array.from({ length: EACH }, (_, i) => `${kind}/${plan}/${i}`);
    const late = [...keys('late-commit'), ...keys('late-rollback')];
    const isAsked = () => late.every((key) => lines.includes(`CHECK ${key}`));
    await waitFor('every unknown one to be asked about', isAsked, PATIENCE);
    const wanted = [...keys('commit'), ...keys('late-commit')];
    const found = async () => [...new Set(await reader.bodies(topic))].sort();
    const hasAll = async () => (await found()).length >= wanted.length;
    await waitFor('the late commits', hasAll, PATIENCE);
    expect(await found()).toEqual(wanted.sort());
    // A stock broker writes down what is settled a while later and may ask about that, too.
    const needless = lines.filter((line) => /CHECK .*\/(commit|rollback)\//.test(line));
    if (kind === 'ours') expect(needless).toEqual([]);
    reader.close();
  });
});

/** Lines that a producer program prints. */
function run(client: (typeof CLIENTS)[number], options: Record<string, string | number>): string[] {
  const all = { ...options, namesrv: site.nameserver.address };
  const child = spawn(
    'java',
    [
      ...['-Xmx256m', ...SHORT_LIVED_JVM],
      ...['-Drocketmq.client.logUseSlf4j=false', `-Duser.home=${site.folder}`],
      ...['-cp', jarsOf(client), PROGRAM],
      ...Object.entries(all).map(([key, value]) => `${key}=${value}`),
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  children.push(child);
  const lines: string[] = [];
  createInterface({ input: child.stdout as NonNullable<typeof child.stdout> }).on('line', (line) =>
    lines.push(line),
  );
  return lines;
}
