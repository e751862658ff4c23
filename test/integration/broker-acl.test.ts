// A broker with ACL on, over real sockets and real files: who gets in, changes while it runs, and that
// neither answers nor logs say a secret.
import { execFile, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DrError } from '../../core-broker/base/index.ts';
import {
  encodeRequest,
  type RemotingCommand,
  RequestCode,
  type RequestInit,
} from '../../core-broker/protocol/index.ts';
import { RemotingClient } from '../../core-broker/remoting/index.ts';
import {
  ACL_TEXT,
  type AclFolder,
  ADMIN,
  aclFolder,
  signedBy,
  USER,
} from '../support/acl-files.ts';
import {
  type BrokerFixture,
  pullFields,
  sendFields,
  startBroker,
} from '../support/broker-fixture.ts';
import { rawConnection } from '../support/raw-connection.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);
const CONFIG_CODES = [17, 25, 50, 51, 53, 54, 200, 207, 215];
let acl: AclFolder;
let broker: BrokerFixture;
const admin = signedBy(ADMIN);
const user = signedBy(USER);

const call = (init: RequestInit): Promise<RemotingCommand> =>
  broker.client.invoke(broker.broker.address, init, 20_000);
const send = (topic: string, more: Partial<RequestInit> = {}): RequestInit => ({
  code: RequestCode.SEND_MESSAGE_V2,
  ext: sendFields(topic) as Record<string, string>,
  body: 'body',
  ...more,
});
const pull = (topic: string, offset: number): RequestInit => ({
  code: RequestCode.PULL_MESSAGE,
  ext: pullFields(topic, offset) as Record<string, string | number>,
});
const isRefused = (answer: RemotingCommand): boolean =>
  answer.code === 1 &&
  answer.remark?.startsWith('org.apache.rocketmq.acl.common.AclException') === true;

beforeAll(async () => {
  acl = aclFolder();
  broker = await startBroker({ aclEnable: true, aclPlainFile: acl.file });
});

afterAll(async () => {
  await broker.stop();
  acl.remove();
});

beforeEach(async () => {
  fs.writeFileSync(acl.file, ACL_TEXT);
  await until(async () => (await call(user(send('orders')))).code === 0, 'the accounts are back');
});

describe('the door', () => {
  test('unsigned requests of any code get nothing', async () => {
    for (const code of [
      ...CONFIG_CODES,
      10,
      310,
      320,
      11,
      12,
      14,
      15,
      26,
      28,
      33,
      34,
      35,
      36,
      38,
      105,
    ]) {
      const answer = await call({ code, ext: sendFields('orders') as Record<string, string> });
      expect([code, isRefused(answer), answer.body]).toEqual([code, true, undefined]);
    }
  });

  test('a send like a thousand before it is refused without its signature', async () => {
    const before = broker.broker.store.storeBounds().maxOffset;
    const raw = await rawConnection(broker.broker.address);
    const frame = encodeRequest(send('orders'), 5);
    for (let i = 0; i < 40; i++) raw.write(frame);
    for (let i = 0; i < 40; i++) expect(isRefused(await raw.next())).toBe(true);
    raw.write(encodeRequest(user(send('orders')), 6));
    expect((await raw.next()).code).toBe(0);
    raw.write(frame);
    expect(isRefused(await raw.next())).toBe(true);
    raw.close();
    const answer = await call(user(pull('orders', 0)));
    expect(answer.code).toBe(0);
    expect(broker.broker.store.storeBounds().maxOffset).toBeGreaterThan(before);
  });

  test('a oneway send without signature is dropped in silence', async () => {
    const before = broker.broker.store.storeBounds().maxOffset;
    const raw = await rawConnection(broker.broker.address);
    raw.write(encodeRequest(send('orders'), 5, { oneway: true }));
    raw.write(encodeRequest({ code: 28 }, 6));
    expect((await raw.next()).opaque).toBe(6);
    expect(broker.broker.store.storeBounds().maxOffset).toBe(before);
    raw.close();
  });

  test('a body, a topic or a key that was changed on the way is refused', async () => {
    const signed = user(send('orders'));
    expect(isRefused(await call({ ...signed, body: 'other' }))).toBe(true);
    expect(isRefused(await call({ ...signed, ext: { ...signed.ext, b: 'other' } }))).toBe(true);
    expect(
      isRefused(await call(signedBy({ ...USER, secretKey: 'wrong-secret' })(send('orders')))),
    ).toBe(true);
  });

  test('a right signature is not enough: topic, group and administrator', async () => {
    expect((await call(user(send('other')))).remark).toMatch(
      /No default permission for topic:other$/,
    );
    expect((await call(user(pull('other', 0)))).remark).toMatch(/topic:other$/);
    for (const code of CONFIG_CODES) {
      const answer = await call(user({ code, ext: { accessKey: 'program', secretKey: 'x' } }));
      expect(answer.remark).toMatch(
        /Need admin permission for request code=\d+, but accessKey=program is not$/,
      );
    }
    expect((await call(admin({ code: 26 }))).code).toBe(0);
  });

  test('the VIP port has the same door', async () => {
    const own = await onFixedPort();
    const client = new RemotingClient();
    const [host, port] = own.broker.address.split(':');
    const vip = `${host}:${Number(port) - 2}`;
    expect(isRefused(await client.invoke(vip, send('orders'), 20_000))).toBe(true);
    expect((await client.invoke(vip, user(send('orders')), 20_000)).code).toBe(0);
    client.close();
    await own.stop();
  });
});

/** A broker whose VIP port is known: two below its own. */
async function onFixedPort(): Promise<BrokerFixture> {
  for (let listenPort = 20_000 + (process.pid % 10_000); ; listenPort += 7) {
    try {
      return await startBroker({ aclEnable: true, aclPlainFile: acl.file, listenPort });
    } catch (reason) {
      if (!DrError.is(reason, 'NETWORK')) throw reason;
    }
  }
}

describe('dr admin', () => {
  const admin = (...words: string[]) => {
    const args = ['cli/dr.ts', 'admin', ...words];
    const keys = { DR_ACCESS_KEY: ADMIN.accessKey, DR_SECRET_KEY: ADMIN.secretKey };
    return {
      unsigned: () => run(process.execPath, args),
      signed: () => run(process.execPath, args, { env: { ...process.env, ...keys } }),
    };
  };

  test('signs with the keys of its environment, and shows none of them', async () => {
    const words = [
      'updateTopic',
      '-b',
      broker.broker.address,
      '-t',
      'made-by-dr',
      '-r',
      '2',
      '-w',
      '2',
    ];
    await expect(admin(...words).unsigned()).rejects.toThrow(/No accessKey is configured/);
    const { stdout, stderr } = await admin(...words).signed();
    expect(`${stdout}${stderr}`).not.toContain(ADMIN.secretKey);
    expect((await call(user(pull('made-by-dr', 0)))).remark).toMatch(/topic:made-by-dr/);
  });
});

describe('changes while it runs', () => {
  test('a new secret counts and the old one does not', async () => {
    fs.writeFileSync(acl.file, ACL_TEXT.replace(USER.secretKey, 'another-secret'));
    const fresh = signedBy({ ...USER, secretKey: 'another-secret' });
    await until(
      async () => (await call(fresh(send('orders')))).code === 0,
      'the new secret counts',
    );
    expect(isRefused(await call(user(send('orders'))))).toBe(true);
  });

  test('a broken file changes nothing, a mended one does', async () => {
    fs.writeFileSync(acl.file, ACL_TEXT.replace('orders=PUB|SUB', 'orders=ALL'));
    const more = path.join(acl.folder, 'acl');
    fs.mkdirSync(more, { recursive: true });
    fs.writeFileSync(
      path.join(more, 'b.yml'),
      'accounts:\n  - accessKey: second-one\n    secretKey: second-secret\n    defaultTopicPerm: PUB\n',
    );
    const second = signedBy({ accessKey: 'second-one', secretKey: 'second-secret' });
    for (let i = 0; i < 80; i++) {
      expect((await call(user(send('orders')))).code).toBe(0);
      expect(isRefused(await call(second(send('orders'))))).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    fs.writeFileSync(acl.file, ACL_TEXT);
    await until(
      async () => (await call(second(send('orders')))).code === 0,
      'the second file counts',
    );
    fs.rmSync(more, { recursive: true });
    await until(
      async () => isRefused(await call(second(send('orders')))),
      'the second file is gone',
    );
  });

  test('accounts are made, changed and removed by request, and the file keeps its comments', async () => {
    const ext = {
      accessKey: 'third-one',
      secretKey: 'third-secret',
      admin: false,
      topicPerms: 'orders=PUB,x=SUB',
    };
    expect((await call(admin({ code: 50, ext }))).code).toBe(0);
    const third = signedBy({ accessKey: 'third-one', secretKey: 'third-secret' });
    expect((await call(third(send('orders')))).code).toBe(0);
    expect(isRefused(await call(third(send('x'))))).toBe(true);
    expect((await call(admin({ code: 50, ext: { ...ext, topicPerms: 'x=PUB' } }))).code).toBe(0);
    expect((await call(third(send('x')))).code).toBe(0);
    expect(isRefused(await call(third(send('orders'))))).toBe(true);
    const text = fs.readFileSync(acl.file, 'utf8');
    expect(text).toContain('# the program of the tests');
    expect(text).toMatch(/dataVersion:\n +- counter: 2\n/);
    expect(fs.statSync(acl.file).mode & 0o777).toBe(0o600);
    const info = await call(admin({ code: 52 }));
    expect(JSON.parse(info.ext['version'] ?? '')).toMatchObject({ counter: 2 });
    expect(JSON.parse(info.ext['allAclFileVersion'] ?? '')).toHaveProperty(
      [acl.file, 'counter'],
      2,
    );
    const all = JSON.parse((await call(admin({ code: 54 }))).body?.toString() ?? '');
    expect(all.plainAccessConfigs.map((row: { accessKey: string }) => row.accessKey)).toEqual([
      'operator',
      'program',
      'third-one',
    ]);
    expect((await call(admin({ code: 51, ext: { accessKey: 'third-one' } }))).code).toBe(0);
    expect(isRefused(await call(third(send('x'))))).toBe(true);
    const again = await call(admin({ code: 51, ext: { accessKey: 'third-one' } }));
    expect([again.code, again.remark]).toEqual([
      210,
      'The accesskey[third-one] corresponding to accessConfig has been deleted failed.',
    ]);
  });

  test('what would be no good file is refused and changes nothing', async () => {
    const before = fs.readFileSync(acl.file, 'utf8');
    const bad = { accessKey: 'third-one', secretKey: 'third-secret', topicPerms: 'orders=ALL' };
    const answer = await call(admin({ code: 50, ext: bad }));
    expect([answer.code, answer.remark?.includes('third-secret')]).toEqual([209, false]);
    const short = await call(
      admin({ code: 50, ext: { ...bad, topicPerms: '', secretKey: 'hush' } }),
    );
    expect([short.code, short.remark?.includes('hush')]).toEqual([209, false]);
    expect((await call(admin({ code: 53, ext: { globalWhiteAddrs: '1.2' } }))).code).toBe(211);
    const elsewhere = { globalWhiteAddrs: '*', aclFileFullPath: path.join(acl.folder, 'x.yml') };
    expect((await call(admin({ code: 53, ext: elsewhere }))).code).toBe(211);
    expect(fs.readFileSync(acl.file, 'utf8')).toBe(before);
    expect(isRefused(await call(send('orders')))).toBe(true);
  });

  test('white addresses by request let everybody of them in', async () => {
    expect(
      (await call(admin({ code: 53, ext: { globalWhiteAddrs: '127.0.0.*,10.1.2.3' } }))).code,
    ).toBe(0);
    expect((await call(send('orders'))).code).toBe(0);
    expect((await call({ code: 53, ext: { globalWhiteAddrs: '' } })).code).toBe(0);
    expect(isRefused(await call(send('orders')))).toBe(true);
  });
});

describe('a broker', () => {
  test('without ACL serves unsigned and signed requests and says that ACL is off', async () => {
    const plain = await startBroker();
    expect((await plain.send('orders', 'x')).code).toBe(0);
    const invoke = (init: RequestInit) => plain.client.invoke(plain.broker.address, init, 20_000);
    expect((await invoke(user(send('orders')))).code).toBe(0);
    expect((await invoke({ code: 50, ext: {} })).code).toBe(209);
    await plain.stop();
  });

  test('does not start without its file or with a broken one', async () => {
    const missing = { aclEnable: true, aclPlainFile: path.join(acl.folder, 'none', 'a.yml') };
    await expect(startBroker(missing)).rejects.toThrow(/does not exist/);
    const broken = aclFolder('accounts: [{accessKey: someone, secretKey: very-secret, admin: 7}]');
    await expect(startBroker({ aclEnable: true, aclPlainFile: broken.file })).rejects.toThrow(
      /plain_acl.yml:1:\d+: admin/,
    );
    broken.remove();
  });

  test('says no secret in any log line, at any level', async () => {
    const own = aclFolder();
    const file = path.join(own.folder, 'broker.conf');
    fs.writeFileSync(
      file,
      `aclEnable=true\nlistenPort=0\nhaListenPort=0\nbrokerIP1=127.0.0.1\nstorePathRootDir=${own.folder}/store\nmappedFileSizeCommitLog=1048576\n`,
    );
    const child = spawn(process.execPath, ['cli/dr.ts', 'broker', '-c', file], {
      env: { ...process.env, DR_LOG_LEVEL: 'debug' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (bytes) => (text += bytes));
    await until(() => /"address":"?127/.test(text), 'the broker serves');
    const address = /"address":"(127[^"]+)"/.exec(text)?.[1] ?? '';
    const client = new RemotingClient();
    expect((await client.invoke(address, user(send('orders')), 20_000)).code).toBe(0);
    expect(isRefused(await client.invoke(address, user(send('other')), 20_000))).toBe(true);
    const bad = { accessKey: 'third-one', secretKey: 'third-secret', topicPerms: 'a=ALL' };
    await client.invoke(address, admin({ code: 50, ext: bad }), 20_000);
    fs.writeFileSync(own.file, `${ACL_TEXT}\n${USER.secretKey}\n`);
    await until(() => text.includes('acl.refused'), 'the broken file is reported');
    expect(text).toMatch(/plain_acl.yml:\d+:\d+/);
    expect(text).not.toMatch(/program-secret|operator-secret|third-secret/);
    client.close();
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('close', resolve));
    own.remove();
  });
});
