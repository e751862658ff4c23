// Signatures as real Java clients make them, and the judgement of requests.
import { describe, expect, test } from 'vitest';
import { Secret } from '../../../core-broker/base/index.ts';
import { readAclFile } from '../../../core-broker/broker/acl/acl-file.ts';
import { AclTable } from '../../../core-broker/broker/acl/acl-table.ts';
import {
  aclKey,
  aclSigner,
  decodeCommand,
  encodeRequest,
  hasAclSignature,
  RequestCode,
  type RequestInit,
} from '../../../core-broker/protocol/index.ts';
import recorded from '../../fixtures/acl-frames.json' with { type: 'json' };

const FILE = `
globalWhiteRemoteAddresses: [10.0.0.*]
accounts:
  - accessKey: RocketMQ
    secretKey: 12345678
    whiteRemoteAddress: 10.1.0.1
    defaultGroupPerm: DENY
    topicPerms: [orders=PUB, prices=SUB, both=PUB|SUB, closed=DENY]
    groupPerms: [readers=SUB]
  - accessKey: operator
    secretKey: operator-secret
    admin: true
  - accessKey: half-admin
    secretKey: half-admin-secret
    admin: true
    topicPerms: [orders=PUB]
`;
const table = new AclTable([readAclFile('plain_acl.yml', FILE, 0)]);
const signer = (accessKey: string, secret: string) =>
  aclSigner({ accessKey, secretKey: new Secret(secret) });
const user = signer('RocketMQ', '12345678');
const admin = signer('operator', 'operator-secret');

const wire = (init: RequestInit) => {
  const frame = encodeRequest(init, 1);
  return decodeCommand(frame, 0, frame.length);
};
const check = (init: RequestInit, address = '192.0.2.1') => table.check(wire(init), address);

describe('signatures of the Java client', () => {
  const frames = Object.entries(recorded.frames).map(([name, text]) => {
    const bytes = Buffer.from(text, 'base64');
    return [name, decodeCommand(bytes, 0, bytes.length)] as const;
  });

  test.each(frames)('%s is accepted, and not once anything in it changed', (_, request) => {
    const key = aclKey('12345678');
    expect(hasAclSignature(key, request)).toBe(true);
    expect(hasAclSignature(aclKey('12345679'), request)).toBe(false);
    const body = Buffer.concat([request.body ?? Buffer.alloc(0), Buffer.from('x')]);
    expect(hasAclSignature(key, { ...request, body })).toBe(false);
    for (const name of Object.keys(request.ext)) {
      if (name === '_UNIQUE_KEY_QUERY') continue;
      const ext = { ...request.ext, [name]: `${request.ext[name]}x` };
      expect([name, hasAclSignature(key, { ...request, ext })]).toEqual([name, false]);
    }
  });

  test('a query that was signed before the flag was added is accepted too', () => {
    const { ext, ...init } = user({ code: 12, ext: { topic: 'prices', key: 'k' } });
    const late = wire({ ...init, ext: { ...ext, _UNIQUE_KEY_QUERY: 'true' } });
    expect(hasAclSignature(aclKey('12345678'), late)).toBe(true);
  });

  test('what we sign is what Java signs', () => {
    const java = frames.find(([name]) => name === 'plain-JSON')?.[1];
    expect(user({ code: RequestCode.GET_BROKER_CONFIG }).ext).toEqual({ ...java?.ext });
  });
});

describe('who gets in', () => {
  const send = (topic: string) => ({ code: 310, ext: { a: 'p', b: topic }, body: 'x' });

  test('a stranger and a wrong secret are refused in the same words', () => {
    const unknown = check(signer('nobody-here', '12345678')(send('orders')));
    const wrong = check(signer('RocketMQ', '12345679')(send('orders')));
    expect(unknown?.remark).toBe('Check signature failed for accessKey=nobody-here');
    expect(wrong?.remark).toBe('Check signature failed for accessKey=RocketMQ');
    expect(check(send('orders'))?.remark).toBe('No accessKey is configured');
  });

  test('white addresses need no signature: global ones none at all, own ones the access key', () => {
    expect(check({ code: 25 }, '10.0.0.9')).toBeUndefined();
    expect(check({ code: 25 }, '10.1.0.1')?.reason).toBe('unsigned');
    expect(check({ code: 25, ext: { AccessKey: 'RocketMQ' } }, '10.1.0.1')).toBeUndefined();
    expect(check({ code: 25, ext: { AccessKey: 'operator' } }, '10.1.0.1')?.reason).toBe(
      'signature',
    );
  });

  const rows: [what: string, init: RequestInit, refusal: string | undefined][] = [
    ['a send to an own topic', send('orders'), undefined],
    ['a send with PUB|SUB', send('both'), undefined],
    ['a send with SUB only', send('prices'), 'No default permission for topic:prices'],
    ['a send to a closed topic', send('closed'), 'No default permission for topic:closed'],
    ['a send to an unknown topic', send('other'), 'No default permission for topic:other'],
    [
      'a long-name send',
      { code: 10, ext: { topic: 'other' } },
      'No default permission for topic:other',
    ],
    ['a batch', { code: 320, ext: { b: 'other' } }, 'No default permission for topic:other'],
    ['a trace', send('RMQ_SYS_TRACE_TOPIC'), undefined],
    ['a retry of an own group', send('%RETRY%readers'), undefined],
    ['a retry of another group', send('%RETRY%others'), 'No default permission for group:others'],
    ['a reply', { code: 325, ext: { b: 'DefaultCluster_REPLY_TOPIC' } }, undefined],
    [
      'a reply elsewhere',
      { code: 325, ext: { b: 'other' } },
      'No default permission for topic:other',
    ],
    ['a pull', { code: 11, ext: { topic: 'prices', consumerGroup: 'readers' } }, undefined],
    [
      'a pull of a topic that may only be written',
      { code: 11, ext: { topic: 'orders', consumerGroup: 'readers' } },
      'No default permission for topic:orders',
    ],
    [
      'a lite pull by another group',
      { code: 361, ext: { topic: 'prices', consumerGroup: 'others' } },
      'No default permission for group:others',
    ],
    ['a query', { code: 12, ext: { topic: 'orders' } }, 'No default permission for topic:orders'],
    [
      'a send-back',
      { code: 36, ext: { group: 'others' } },
      'No default permission for group:others',
    ],
    ['a consumer list', { code: 38, ext: { consumerGroup: 'readers' } }, undefined],
    [
      'a commit of another group',
      { code: 15, ext: { topic: 'prices', consumerGroup: 'others' } },
      'No default permission for group:others',
    ],
    ['a heartbeat', heartbeat('readers', 'prices'), undefined],
    [
      'a heartbeat that subscribes to more',
      heartbeat('readers', 'orders'),
      'No default permission for topic:orders',
    ],
    ['a heartbeat without a body', { code: 34 }, 'the body of the request cannot be read'],
    ['a topic change', { code: 17 }, adminNeeded(17)],
    ['a configuration change', { code: 25 }, adminNeeded(25)],
    ['an account for oneself', { code: 50 }, adminNeeded(50)],
    ['white addresses', { code: 53 }, adminNeeded(53)],
    ['all accounts', { code: 54 }, adminNeeded(54)],
    ['a code that names nothing', { code: 28 }, undefined],
  ];

  test.each(rows)('%s', (_, init, refusal) => {
    expect(check(user(init))?.remark).toBe(refusal);
    expect(check(init)?.reason).toBe('unsigned');
  });

  test('an administrator without permissions may do all, with permissions only what they say', () => {
    for (const [, init] of rows) {
      const refusal = check(admin(init));
      if (init.code !== 34 || init.body !== undefined) expect(refusal).toBeUndefined();
    }
    const half = signer('half-admin', 'half-admin-secret');
    expect(check(half({ code: 17 }))).toBeUndefined();
    expect(check(half(send('orders')))).toBeUndefined();
    expect(check(half(send('other')))?.reason).toBe('permission');
  });

  test('no refusal repeats a secret or an access key of any length', () => {
    const long = signer('k'.repeat(5_000), '12345678');
    expect(check(long(send('orders')))?.remark.length).toBeLessThan(120);
    for (const [, init] of rows) {
      expect(check(user(init))?.remark ?? '').not.toMatch(/12345678/);
    }
  });
});

function heartbeat(groupName: string, topic: string): RequestInit {
  const subscriptionDataSet = [{ topic, subString: '*' }];
  const body = { clientID: 'c', consumerDataSet: [{ groupName, subscriptionDataSet }] };
  return { code: 34, body: JSON.stringify(body) };
}

function adminNeeded(code: number): string {
  return `Need admin permission for request code=${code}, but accessKey=RocketMQ is not`;
}
