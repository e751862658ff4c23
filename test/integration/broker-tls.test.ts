// A broker and a name server with TLS and ACL together, configured by their own files.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadBrokerConfig } from '../../core-broker/broker/index.ts';
import { createNameServer, loadNameserverConfig } from '../../core-broker/nameserver/index.ts';
import { RequestCode, type RequestInit } from '../../core-broker/protocol/index.ts';
import { RemotingClient } from '../../core-broker/remoting/index.ts';
import { ADMIN, aclFolder, signedBy, USER } from '../support/acl-files.ts';
import { recordsOf, sendFields, startBroker } from '../support/broker-fixture.ts';
import { tlsFolder } from '../support/tls-files.ts';

const files = tlsFolder();
const acl = aclFolder();
afterAll(() => {
  files.remove();
  acl.remove();
});
const ANY_SERVER = { files: undefined, isAuthServer: false, trustPath: undefined };

test('enforcing with ACL: only a signed request by TLS gets in, and both survive a large pull', async () => {
  const { keyPath, certPath } = files.pair('broker');
  const broker = await startBroker({
    'tls.server.mode': 'enforcing',
    'tls.server.keyPath': keyPath,
    'tls.server.certPath': certPath,
    aclEnable: true,
    aclPlainFile: acl.file,
  });
  const { address } = broker.broker;
  const send: RequestInit = {
    code: RequestCode.SEND_MESSAGE_V2,
    ext: sendFields('orders') as Record<string, string>,
    body: 'x'.repeat(100_000),
  };
  const client = new RemotingClient({ identity: { tls: ANY_SERVER, sign: signedBy(USER) } });
  for (let i = 0; i < 8; i++) expect((await client.invoke(address, send, 20_000)).code).toBe(0);
  const pulled = await client.invoke(
    address,
    {
      code: RequestCode.PULL_MESSAGE,
      ext: {
        consumerGroup: 'g',
        topic: 'orders',
        queueId: 0,
        queueOffset: 0,
        maxMsgNums: 32,
        sysFlag: 4,
        commitOffset: 0,
        suspendTimeoutMillis: 0,
        subVersion: 0,
        subscription: '*',
      },
    },
    5_000,
  );
  expect(recordsOf(pulled).length).toBeGreaterThan(0);
  const unsigned = new RemotingClient({ identity: { tls: ANY_SERVER } });
  expect((await unsigned.invoke(address, send, 20_000)).remark).toMatch(/No accessKey/);
  const plain = new RemotingClient({ identity: { sign: signedBy(ADMIN) } });
  await expect(plain.invoke(address, send, 20_000)).rejects.toMatchObject({ code: 'NETWORK' });
  for (const each of [client, unsigned, plain]) each.close();
  await broker.stop();
});

test('a broker file takes the tls keys, keeps passwords from code 26 and the keys from code 25', async () => {
  const file = path.join(files.folder, 'broker.conf');
  fs.writeFileSync(file, 'tls.server.mode=permissive\ntls.server.keyPassword=very-secret\n');
  expect(loadBrokerConfig(file).config['tls.server.keyPassword']).toBe('very-secret');
  fs.writeFileSync(file, 'tls.server.mode=sometimes\n');
  expect(() => loadBrokerConfig(file)).toThrow(/:1: tls.server.mode: 'sometimes' is not allowed/);
  const broker = await startBroker({ 'tls.server.keyPassword': 'very-secret' });
  const shown = (await broker.call(RequestCode.GET_BROKER_CONFIG)).body?.toString();
  expect(shown).toContain('tls.server.mode=');
  expect(shown).not.toContain('very-secret');
  for (const key of [
    'tls.server.mode',
    'tls.server.keyPath',
    'aclPlainFile',
    'drCredentialsFile',
  ]) {
    const answer = await broker.call(RequestCode.UPDATE_BROKER_CONFIG, {}, `${key}=disabled\n`);
    expect([key, answer.code]).toEqual([key, 16]);
  }
  await broker.stop();
});

test('a name server enforces TLS too', async () => {
  const { keyPath, certPath } = files.pair('names');
  const file = path.join(files.folder, 'namesrv.conf');
  const lines = ['listenPort=0', 'bindAddress=127.0.0.1', `kvConfigPath=${files.folder}/kv.json`];
  const tls = [
    'tls.server.mode=enforcing',
    `tls.server.keyPath=${keyPath}`,
    `tls.server.certPath=${certPath}`,
  ];
  fs.writeFileSync(file, [...lines, ...tls, ''].join('\n'));
  const names = createNameServer({ config: loadNameserverConfig(file) });
  await names.start();
  const request = { code: RequestCode.GET_BROKER_CLUSTER_INFO };
  const secure = new RemotingClient({ identity: { tls: ANY_SERVER } });
  expect((await secure.invoke(names.address, request, 20_000)).code).toBe(0);
  const plain = new RemotingClient();
  await expect(plain.invoke(names.address, request, 20_000)).rejects.toMatchObject({
    code: 'NETWORK',
  });
  secure.close();
  plain.close();
  await names.stop();
});
