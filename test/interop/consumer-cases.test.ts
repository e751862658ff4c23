// Consumers and requesters of Apache's Java client 4.9.8 and 5.5.0 (test/interop/clients/java/
// ConsumerCases.java): the same program against a stock 5.5.0 region and against our broker behind our
// name server. Each case is a test of its own and must end alike at both.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AdminClient } from '../../core-broker/client/index.ts';
import { startBroker as startOurs } from '../support/broker-fixture.ts';
import { DrParts } from '../support/dr-parts.ts';
import { Child } from './peers/child.ts';
import { ensurePeers, jarsOf } from './peers/install.ts';
import { SHORT_LIVED_JVM } from './peers/jvm.ts';
import { type Region, stockRegion } from './peers/region.ts';

const PROGRAM = path.join(import.meta.dirname, 'clients/java/ConsumerCases.java');
const CLUSTER = 'DefaultCluster';
const CLIENTS = ['client-4.9.8', 'client-5.5.0'] as const;
const QUEUES = 4;

const AGED = (...ages: number[]) => ages.map((age) => `k${age}`).join(',');

/** What every good broker makes of them. */
const EXPECTED: Record<string, string> = {
  'sql-push': 'k16,k18,k5,k6,k7,last',
  'sql-refused': 'code 23',
  'sql-retry': 'k3 from sql-retry',
  'sql-lite-pull': AGED(1, 3, 5, 7),
  request: 're: one,re: two',
  'request-unanswered': 'times out',
  'reply-to-stranger': '1 push reply message fail, channel of <stranger> not found.',
  'lite-pull': AGED(0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
  'assign-seek': `assigned: 10; from 6: ${AGED(6, 7, 8, 9)}; from begin: 10; from end: end; at time: 0`,
  orderly:
    '{o0=[0, 1, 2, 3, 4, 5, 6, 7], o1=[0, 1, 2, 3, 4, 5, 6, 7], o2=[0, 1, 2, 3, 4, 5, 6, 7]} ' +
    'suspended [o0, o1, o2]',
  broadcast: `${AGED(0, 1, 2, 3, 4, 5)} | ${AGED(0, 1, 2, 3, 4, 5)}`,
  'dead-letter':
    'tries [0, 1, 2], then doomed in %DLQ%dying queues 1 after 3 of dead-letter age 1 delay 0',
};

interface Site extends Region {
  /** consumerFilter.json of the broker. */
  filterFile: string;
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-consumer-cases-'));

async function stockSite(): Promise<Site> {
  const region = await stockRegion(folder, { enablePropertyFilter: true });
  return { ...region, filterFile: path.join(folder, 'broker/store/config/consumerFilter.json') };
}

async function ourSite(): Promise<Site> {
  const parts = new DrParts();
  const { address: namesrv } = await parts.nameserver();
  const fixture = await startOurs({ namesrvAddr: namesrv, enablePropertyFilter: true });
  const close = async () => {
    await fixture.stop();
    await parts.close();
  };
  const filterFile = path.join(fixture.root, 'config/consumerFilter.json');
  return { namesrv, broker: fixture.broker.address, filterFile, close };
}

const SITES = { 'a stock 5.5.0 region': stockSite, 'our broker': ourSite } as const;
const open: Site[] = [];
const verdicts = new Map<string, Map<string, string>>();

async function runCases(site: Site, siteName: string, client: (typeof CLIENTS)[number]) {
  const prefix = client.replaceAll('.', '_');
  const admin = new AdminClient({ nameservers: [site.namesrv] });
  for (const name of Object.keys(EXPECTED)) {
    await admin.createTopic(site.broker, { topic: `${prefix}-${name}`, queues: QUEUES });
  }
  admin.close();
  const home = `-Duser.home=${path.join(folder, `${siteName} ${client}`)}`;
  const jvm = ['-Xmx256m', ...SHORT_LIVED_JVM, home];
  const child = new Child({
    command: 'java',
    args: [
      ...jvm,
      '-Drocketmq.client.logUseSlf4j=false',
      ...['-cp', jarsOf(client), PROGRAM],
      ...[`namesrv=${site.namesrv}`, `prefix=${prefix}`, `cluster=${CLUSTER}`],
    ],
    logFile: path.join(folder, `${siteName} ${client}.log`),
  });
  await child.exited;
  const lines = child.output().matchAll(/^CASE (\S+) (.*)$/gm);
  const found = new Map([...lines].map(([, name = '', verdict = '']) => [name, verdict]));
  verdicts.set(`${siteName} ${client}`, found);
  if (found.size < Object.keys(EXPECTED).length) throw new Error(child.output());
}

beforeAll(async () => {
  await ensurePeers('server-5.5.0', ...CLIENTS);
  const runs = Object.entries(SITES).map(async ([name, start]) => {
    const site = await start();
    open.push(site);
    for (const client of CLIENTS) await runCases(site, name, client);
  });
  await Promise.all(runs);
});
afterAll(async () => {
  for (const site of open) await site.close();
  fs.rmSync(folder, { recursive: true });
});

/** What a broker keeps of its consumers' expressions, without its own times (one may have written before a consumer left). */
function filtersIn(file: string): unknown[] {
  if (!fs.existsSync(file)) return [];
  const { filterDataByTopic } = JSON.parse(fs.readFileSync(file, 'utf8')) as {
    filterDataByTopic: Record<string, { topic: string; groupFilterData: Record<string, object> }>;
  };
  return Object.entries(filterDataByTopic)
    .flatMap(([key, { topic, groupFilterData }]) =>
      Object.entries(groupFilterData).map(([group, row]) => ({
        ...{ key, topic, group },
        ...row,
        ...{ bornTime: 0, deadTime: 0, dead: false, clientVersion: 0 },
      })),
    )
    .sort((left, right) => left.key.localeCompare(right.key));
}

test('both brokers keep the same expressions, with the same Bloom bits', async () => {
  const [theirs = '', ours = ''] = open.map(({ filterFile }) => filterFile).sort(byStockFirst);
  // Each push consumer and each lite puller of both clients; what was refused is not kept.
  await expect.poll(() => filtersIn(theirs).length).toBe(6);
  await expect.poll(() => filtersIn(ours).length).toBe(6);
  expect(filtersIn(ours)).toEqual(filtersIn(theirs));
});
const byStockFirst = (left: string): number => (left.startsWith(folder) ? -1 : 1);

describe.each(Object.keys(SITES))('%s', (site) => {
  describe.each(CLIENTS)('%s', (client) => {
    test.each(Object.keys(EXPECTED))('%s', (name) => {
      expect(verdicts.get(`${site} ${client}`)?.get(name)).toBe(EXPECTED[name]);
    });
  });
});
