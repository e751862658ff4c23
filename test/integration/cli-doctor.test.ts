// What dr doctor says of access: signed requests, the HA port, certificates, and whether two real brokers
// have the same accounts.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { accessFindings, haFinding } from '../../cli/commands/doctor/access.ts';
import { accountFindings, compareAccounts } from '../../cli/commands/doctor/accounts.ts';
import { planOf } from '../../cli/commands/doctor/files.ts';
import { programOf } from '../../cli/commands/doctor/machine.ts';
import type { DrConfig } from '../../cli/config/dr-config.ts';
import { RequestCode } from '../../core-broker/protocol/index.ts';
import { setProcessIdentity, tlsSettings } from '../../core-broker/remoting/index.ts';
import { ADMIN, aclFolder, signedBy } from '../support/acl-files.ts';
import { type BrokerFixture, startBroker } from '../support/broker-fixture.ts';
import { tempFolder } from '../support/store-options.ts';
import { tlsFolder } from '../support/tls-files.ts';

const DAY_MS = 86_400_000;
const YEARS_10_MS = 3_650 * DAY_MS;
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

const plain = tlsSettings({}, '.');
const enforced = tlsSettings(
  { 'tls.server.mode': 'enforcing', 'tls.test.mode.enable': 'true' },
  '.',
);

describe('who holds a port', () => {
  test('is said in the words it was started with', () => {
    expect(programOf('/x/bin/node\0--flag=1\0/y/cli/dr.ts\0broker\0-c\0b.properties\0')).toBe(
      'dr broker -c b.properties',
    );
    expect(programOf('/usr/bin/java\0-Xmx1g\0Main\0')).toBe('java -Xmx1g Main');
  });
});

describe('signed requests', () => {
  test('can be sent again unless TLS is enforced', () => {
    expect(accessFindings({ aclEnable: true, tls: plain })).toMatchObject([
      { state: 'warn', check: 'aclEnable', advice: expect.stringContaining('enforcing') },
    ]);
    expect(accessFindings({ aclEnable: true, tls: enforced })).toMatchObject([{ state: 'ok' }]);
    expect(accessFindings({ aclEnable: false, tls: plain })).toEqual([]);
  });
});

describe('the HA port', () => {
  const open = { bindAddress: '0.0.0.0', haListenPort: 10_912 };
  test('open to everybody is a warning, with or without TLS on the main port', () => {
    expect(haFinding(open, undefined, plain).state).toBe('warn');
    expect(haFinding(open, [], enforced).state).toBe('warn');
  });
  test('for named peers it is a warning only for who believes TLS covers it', () => {
    expect(haFinding(open, ['10.1.0.1'], enforced).state).toBe('warn');
    expect(haFinding(open, ['10.1.0.1'], plain).state).toBe('ok');
    expect(haFinding({ ...open, bindAddress: '127.0.0.1' }, [], plain).state).toBe('ok');
  });
});

describe('certificates', () => {
  const leftDays = (days: number) => Date.now() - YEARS_10_MS + days * DAY_MS;

  test('near their end are a warning, then bad', () => {
    const files = tlsFolder();
    undo.push(files.remove);
    const stateAt = (days: number) => {
      const { keyPath, certPath } = files.pair(`left-${days}`, leftDays(days));
      const values = { 'tls.server.keyPath': keyPath, 'tls.server.certPath': certPath };
      return accessFindings({ aclEnable: false, tls: tlsSettings(values, '.') })[0]?.state;
    };
    expect([200, 20, 2, -2].map(stateAt)).toEqual(['ok', 'warn', 'bad', 'bad']);
  });

  test('named in the file of tls.config.file count like those in the broker’s own', () => {
    const files = tlsFolder();
    const root = tempFolder();
    undo.push(files.remove, () => fs.rmSync(root, { recursive: true }));
    const { keyPath, certPath } = files.pair('server', leftDays(2));
    fs.writeFileSync(
      path.join(root, 'tls.properties'),
      `tls.server.keyPath=${keyPath}\ntls.server.certPath=${certPath}\n`,
    );
    const file = path.join(root, 'broker.properties');
    fs.writeFileSync(file, `storePathRootDir=${root}\ntls.config.file=tls.properties\n`);
    const found = planOf(file).findings.filter((row) => row.check.includes(certPath));
    expect(found).toMatchObject([{ area: 'access', state: 'bad' }]);
  });

  test('that cannot be read are bad', () => {
    const values = { 'tls.server.keyPath': 'no.key', 'tls.server.certPath': 'no.pem' };
    const found = accessFindings({ aclEnable: false, tls: tlsSettings(values, '.') });
    expect(found).toMatchObject([{ state: 'bad', seen: expect.stringContaining('ENOENT') }]);
  });
});

describe('accounts of two regions', () => {
  async function aclBroker(): Promise<BrokerFixture> {
    const acl = aclFolder();
    const fixture = await startBroker({ aclEnable: true, aclPlainFile: acl.file });
    undo.push(acl.remove, () => fixture.stop());
    return fixture;
  }
  const regionsOf = (east: BrokerFixture, west: BrokerFixture) =>
    ({
      regions: {
        east: { nameservers: [], brokers: { a: east.broker.address } },
        west: { nameservers: [], brokers: { a: west.broker.address } },
      },
    }) as unknown as DrConfig;

  test('are the same until one is changed, and unknown to who has no key', async () => {
    const [east, west] = [await aclBroker(), await aclBroker()];
    undo.push(() => setProcessIdentity({}));
    setProcessIdentity({});
    const strange = await accountFindings(regionsOf(east, west), 5_000);
    expect(strange.map((row) => [row.check, row.state])).toEqual([
      ['accounts of east', 'warn'],
      ['accounts of west', 'warn'],
    ]);
    setProcessIdentity({ sign: signedBy(ADMIN) });
    const same = await accountFindings(regionsOf(east, west), 5_000);
    expect(same).toMatchObject([{ state: 'ok' }]);
    const change = {
      code: RequestCode.UPDATE_GLOBAL_WHITE_ADDRS_CONFIG,
      ext: { globalWhiteAddrs: '10.9.9.9' },
    };
    const answer = await west.client.invoke(west.broker.address, signedBy(ADMIN)(change), 20_000);
    expect(answer.code).toBe(0);
    const other = await accountFindings(regionsOf(east, west), 5_000);
    expect(other).toMatchObject([{ state: 'warn', advice: expect.stringContaining('copy') }]);
  });

  test('one side without ACL is bad, both without is nothing to say', async () => {
    const [east, west] = [await aclBroker(), await startBroker({})];
    undo.push(
      () => west.stop(),
      () => setProcessIdentity({}),
    );
    setProcessIdentity({ sign: signedBy(ADMIN) });
    const found = await accountFindings(regionsOf(east, west), 5_000);
    expect(found).toMatchObject([{ state: 'bad', seen: expect.stringContaining('ACL is off') }]);
    const off = { region: 'x', files: undefined };
    expect(compareAccounts([off, off])).toEqual([]);
    expect(compareAccounts([{ region: 'x', files: [] }])).toEqual([]);
  });
});
