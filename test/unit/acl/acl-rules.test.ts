// White address rules and ACL files: every form of Apache, and what is refused with its place.
import { describe, expect, test } from 'vitest';
import { readAclFile } from '../../../core-broker/broker/acl/acl-file.ts';
import { addressRule } from '../../../core-broker/broker/acl/address-rule.ts';

const cases: [rule: string, inside: string[], outside: string[]][] = [
  ['', [], ['127.0.0.1', '::1']],
  ['*', ['127.0.0.1', '::1'], []],
  ['*.*.*.*', ['10.9.8.7'], []],
  ['10.1.2.3', ['10.1.2.3', '::ffff:10.1.2.3'], ['10.1.2.4', '110.1.2.3', '::1']],
  ['10.1.*.*', ['10.1.0.0', '10.1.255.255'], ['10.2.0.0', '101.1.0.0', '10.11.0.1']],
  ['10.1.2.*', ['10.1.2.9'], ['10.1.3.9']],
  ['10.1.2.5-10', ['10.1.2.5', '10.1.2.10'], ['10.1.2.4', '10.1.2.11', '10.1.2.1']],
  ['10.1.5-10.*', ['10.1.7.200'], ['10.1.4.200']],
  ['10.1.2.{1,2, 30}', ['10.1.2.1', '10.1.2.30'], ['10.1.2.3']],
  ['10.1.2.3,10.9.9.9', ['10.9.9.9'], ['10.1.2.4']],
  ['::1', ['::1', '0:0:0:0:0:0:0:1'], ['::2', '127.0.0.1']],
  ['1050::5:600:300C:1,1050::5:600:300c:2', ['1050:0:0:0:5:600:300c:2'], ['1050::1']],
  ['1050::5:600:{1,2}', ['1050::5:600:2'], ['1050::5:600:3']],
  ['2::ac5:78:1-200:*', ['2::ac5:78:100:9', '2::ac5:78:200:ffff'], ['2::ac5:78:201:9']],
  ['2::ac5:78:1-200', ['2::ac5:78:1ff'], ['2::ac5:78:201']],
  ['fe80::*', ['fe80::1'], ['fe81::1', 'fe80:1::1']],
];

describe('white addresses', () => {
  test.each(cases)('%j lets in %j and not %j', (rule, inside, outside) => {
    const isWhite = addressRule(rule);
    for (const address of inside) expect([address, isWhite(address)]).toEqual([address, true]);
    for (const address of outside) expect([address, isWhite(address)]).toEqual([address, false]);
  });

  test.each([
    '10.1.2',
    '10.1.2.256',
    '10.1.2.9-5',
    '10.1.2.300-400',
    '10.*.2.3',
    '10.1-5.2.3',
    'host.example.org',
    '10.1.2.{1,300}',
    '10.1.2{1,2}',
    '10.1.2.1,x',
    '-1.2.3.4',
    '10.1.2.-5',
    '1::2::3',
    '2:ac5:*:1',
    '{1,2}',
  ])('%j is refused', (rule) => {
    expect(() => addressRule(rule)).toThrow(/not an address/);
  });
});

describe('ACL files', () => {
  const read = (text: string) => readAclFile('/c/plain_acl.yml', text, 5);

  test('the file Apache ships is read', () => {
    const file = read(`
globalWhiteRemoteAddresses:
  - 10.10.103.*
  - 192.168.0.*

accounts:
  - accessKey: RocketMQ
    secretKey: 12345678
    whiteRemoteAddress:
    admin: false
    defaultTopicPerm: DENY
    defaultGroupPerm: SUB
    topicPerms:
      - topicA=DENY
      - topicB=PUB|SUB
    groupPerms:
      # the group should convert to retry topic
      - groupA=DENY

  - accessKey: rocketmq2
    secretKey: 12345678
    whiteRemoteAddress: 192.168.1.*
    # if it is admin, it could access all resources
    admin: true
dataVersion:
  - counter: 4
    timestamp: 1700000000000
`);
    expect(file.accounts.map(({ accessKey, isAdmin }) => [accessKey, isAdmin])).toEqual([
      ['RocketMQ', false],
      ['rocketmq2', true],
    ]);
    expect(file.accounts[0]?.grants).toEqual(
      new Map([
        ['%RETRY%groupA', 1],
        ['topicA', 1],
        ['topicB', 12],
      ]),
    );
    expect(file.version).toEqual({ counter: 4, timestamp: 1_700_000_000_000 });
    expect(file.whites[0]?.('10.10.103.7')).toBe(true);
  });

  test('an empty file holds nobody', () => {
    expect(read('').accounts).toEqual([]);
    expect(read('# nothing yet\n').whites).toEqual([]);
  });

  const account = (more: string) =>
    `accounts:\n  - accessKey: someone\n    secretKey: very-secret\n    ${more}\n`;

  test.each([
    [account('admin: maybe'), /:4:\d+: admin: use true or false/],
    [account('defaultTopicPerm: WRITE'), /:4:\d+: defaultTopicPerm: use DENY/],
    [account('topicPerms:\n      - a=PUB\n      - b'), /:6:\d+: topicPerms/],
    [account('topicPerms: a=PUB'), /:4:\d+: topicPerms: a list/],
    [account('whiteRemoteAddress: 1.2.3'), /:4:\d+: whiteRemoteAddress: '1.2.3'/],
    [
      'accounts:\n  - accessKey: short\n    secretKey: very-secret\n',
      /:2:\d+: accessKey: at least/,
    ],
    ['accounts:\n  - accessKey: someone\n    secretKey: hush!\n', /:3:\d+: secretKey: at least/],
    ['accounts:\n  - accessKey: someone\n', /:2:\d+: secretKey: at least/],
    ['accounts: {', /:\d+:\d+: not YAML/],
    ['accounts:\n - accessKey: "very-secret\n', /:\d+:\d+: not YAML/],
    ['- very-secret\n', /keys are expected/],
  ])('%j is refused with its place', (text, problem) => {
    expect(() => read(text)).toThrow(problem);
    try {
      read(text);
    } catch (reason) {
      expect(String(reason)).toMatch(/^DrError: \/c\/plain_acl.yml:/);
      expect(String(reason)).not.toMatch(/very-secret|hush/);
    }
  });

  test('a key that means nothing is a warning with its line', () => {
    expect(read(account('topicPrems: []')).warnings).toEqual([
      '/c/plain_acl.yml:4: no key of ACL files stands here',
    ]);
  });
});
