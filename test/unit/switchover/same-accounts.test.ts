// Clients whose account is missing at the standby would be locked out by a switch: the digest of accounts
// tells every difference that matters and nothing else, and a planned switch asks for it.
import { expect, test } from 'vitest';
import { readAclFile } from '../../../core-broker/broker/acl/acl-file.ts';
import { AclTable } from '../../../core-broker/broker/acl/acl-table.ts';
import type { DrStatus } from '../../../core-broker/protocol/index.ts';
import { switchoverConfigSchema } from '../../../switchover/config.ts';
import type { ClusterView } from '../../../switchover/phase.ts';
import { checkFailover, checkPlanned } from '../../../switchover/preflight.ts';

interface Account {
  accessKey: string;
  secretKey: string;
  [key: string]: unknown;
}

const FIRST: Account = { accessKey: 'operator', secretKey: 'operator-secret', admin: true };
const SECOND: Account = {
  ...{ accessKey: 'program', secretKey: 'program-secret', defaultTopicPerm: 'DENY' },
  topicPerms: ['orders=PUB', 'bills=SUB'],
};

const digestOf = (accounts: Account[], whites: string[] = []): string => {
  const text = JSON.stringify({ globalWhiteRemoteAddresses: whites, accounts });
  return new AclTable([readAclFile('/plain_acl.yml', text, 0)]).digest;
};

test('equal for the same accounts in any order, whatever the white addresses are', () => {
  const turned = { ...SECOND, topicPerms: ['bills=SUB', 'orders=PUB'] };
  expect(digestOf([turned, FIRST], ['10.0.0.1'])).toBe(digestOf([FIRST, SECOND]));
});

test.each([
  ['a secret', { ...SECOND, secretKey: 'another-secret' }],
  ['an access key', { ...SECOND, accessKey: 'another' }],
  ['a permission', { ...SECOND, topicPerms: ['orders=PUB', 'bills=PUB'] }],
  ['a default', { ...SECOND, defaultTopicPerm: 'PUB' }],
  ['an administrator', { ...SECOND, admin: true }],
])('another one for another %s', (_, changed) => {
  expect(digestOf([FIRST, changed])).not.toBe(digestOf([FIRST, SECOND]));
});

test('a planned switch is refused while they differ, a failover is not', () => {
  const check = (here: string | undefined, there: string | undefined) => {
    const side = (accounts: string | undefined) =>
      ({ accounts, lineage: [] }) as unknown as DrStatus;
    const pairs = [{ brokerName: 'broker-a', source: side(here), target: side(there) }];
    const view = {
      ...{ from: 'east', to: 'west', pairs, flips: [] },
      ...{ unpaired: [], topicMismatches: [] },
    } as unknown as ClusterView;
    const settings = switchoverConfigSchema.parse({});
    const found = checkPlanned(view, settings).find(({ name }) => name.includes('ACL'));
    expect(
      checkFailover(view)
        .map(({ name }) => name)
        .join(),
    ).not.toContain('ACL');
    return found?.isOk;
  };
  expect(check('a', 'a')).toBe(true);
  expect(check(undefined, undefined)).toBe(true);
  expect(check('a', 'b')).toBe(false);
  expect(check('a', undefined)).toBe(false);
  expect(check(undefined, 'b')).toBe(false);
});
