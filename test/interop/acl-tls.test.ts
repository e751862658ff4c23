// ACL and TLS with real programs: Java 4.9.8 and 5.5.0, rocketmq-client-go and ali-ons sign with their own
// code, mqadmin with the keys of conf/tools.yml, Java over TLS. The same cases run against a stock 4.9.7
// region (5.5.0 has no ACL 1.0 any more) and against ours, with one plain_acl.yml and one certificate.
// Our own client signs too: without it no topic could be made on either side.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../cli/demo/process.ts';
import { createBroker, loadBrokerConfig } from '../../core-broker/broker/index.ts';
import { AdminClient } from '../../core-broker/client/index.ts';
import { createNameServer, regionalConfig } from '../../core-broker/nameserver/index.ts';
import { setProcessIdentity } from '../../core-broker/remoting/index.ts';
import { ADMIN, signedBy, USER } from '../support/acl-files.ts';
import { freePort } from '../support/dr-parts.ts';
import { tlsFolder } from '../support/tls-files.ts';
import { mqadmin } from './exchange/mqadmin.ts';
import { type ClientKind, type RunningClient, startClient } from './peers/clients.ts';
import { ensurePeers } from './peers/install.ts';
import { startBroker, startNameserver } from './peers/rocketmq.ts';

const KINDS: ClientKind[] = ['java-4.9.8', 'java-5.5.0', 'go', 'ali-ons'];
const COUNT = 20;
const PATIENCE = { timeoutMs: 90_000 };
const ACL_TEXT = `accounts:
  - accessKey: ${ADMIN.accessKey}
    secretKey: ${ADMIN.secretKey}
    admin: true
  - accessKey: ${USER.accessKey}
    secretKey: ${USER.secretKey}
    defaultTopicPerm: DENY
    defaultGroupPerm: SUB
    topicPerms:
${KINDS.map((kind) => `      - ${topicOf(kind)}=PUB|SUB\n`).join('')}`;

interface Site {
  namesrv: string;
  broker: string;
  close(): Promise<void>;
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-acl-interop-'));
const files = tlsFolder();
const pair = files.pair('server');
const tlsFile = path.join(folder, 'tls.properties');
const clients: RunningClient[] = [];
const sites = new Map<string, Site>();

function topicOf(kind: string): string {
  return `acl-${kind.replaceAll('.', '_')}`;
}

async function stockSite(): Promise<Site> {
  const version = '4.9.7' as const;
  const home = path.join(folder, 'stock');
  fs.mkdirSync(path.join(home, 'conf'), { recursive: true });
  fs.writeFileSync(path.join(home, 'conf/plain_acl.yml'), ACL_TEXT);
  const jvm = [`-Dtls.config.file=${tlsFile}`];
  const port = await freePort();
  const names = await startNameserver({ version, folder: path.join(folder, 'ns'), port, jvm });
  const broker = await startBroker({
    version,
    folder: home,
    port: await freePort(true),
    namesrv: names.address,
    properties: { aclEnable: true },
    jvm,
  });
  const close = async () => {
    await broker.kill();
    await names.kill();
  };
  return { namesrv: names.address, broker: broker.address, close };
}

async function ourSite(): Promise<Site> {
  const home = path.join(folder, 'ours');
  fs.mkdirSync(home, { recursive: true });
  fs.writeFileSync(path.join(home, 'plain_acl.yml'), ACL_TEXT);
  const config = regionalConfig({
    bindAddress: '127.0.0.1',
    listenPort: 0,
    configStorePath: path.join(home, 'ns.conf'),
    kvConfigPath: path.join(home, 'kv.json'),
  });
  const names = createNameServer({ config });
  await names.start();
  const file = path.join(home, 'broker.conf');
  const lines = {
    aclEnable: true,
    brokerName: 'broker-a',
    brokerIP1: '127.0.0.1',
    listenPort: await freePort(true),
    haListenPort: 0,
    namesrvAddr: names.address,
    storePathRootDir: path.join(home, 'store'),
    mappedFileSizeCommitLog: 16_777_216,
    'tls.config.file': tlsFile,
  };
  fs.writeFileSync(
    file,
    Object.entries(lines)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  );
  const broker = createBroker({ config: loadBrokerConfig(file).config });
  await broker.start();
  const close = async () => {
    await broker.stop();
    await names.stop();
  };
  return { namesrv: names.address, broker: broker.address, close };
}

beforeAll(async () => {
  await ensurePeers(
    'server-4.9.7',
    'server-5.5.0',
    'java-client-4.9.8',
    'java-client-5.5.0',
    'go-client',
    'ali-ons',
  );
  const keys = `tls.server.keyPath=${pair.keyPath}\ntls.server.certPath=${pair.certPath}\n`;
  fs.writeFileSync(tlsFile, `${keys}tls.test.mode.enable=false\n`);
  setProcessIdentity({ sign: signedBy(ADMIN) });
  const [theirs, ours] = await Promise.all([stockSite(), ourSite()]);
  sites.set('stock 4.9.7', theirs).set('ours', ours);
  for (const { namesrv, broker } of sites.values()) {
    const admin = new AdminClient({ nameservers: [namesrv] });
    for (const kind of KINDS) await admin.createTopic(broker, { topic: topicOf(kind), queues: 2 });
    admin.close();
  }
});

afterAll(async () => {
  for (const { child } of clients) child.kill();
  await Promise.all(clients.map(({ child }) => child.exited));
  for (const site of sites.values()) await site.close();
  setProcessIdentity({});
  files.remove();
  fs.rmSync(folder, { recursive: true, force: true });
});

interface Run {
  kind: ClientKind;
  mode: 'produce' | 'consume';
  name: string;
  keys?: typeof USER;
  jvm?: string[];
}

describe.each(['stock 4.9.7', 'ours'])('%s', (where) => {
  const site = (): Site => sites.get(where) as Site;
  const start = async ({ kind, mode, name, keys, jvm }: Run): Promise<RunningClient> => {
    const client = await startClient({
      kind,
      mode,
      namesrv: site().namesrv,
      topic: topicOf(kind),
      group: `${topicOf(kind)}-${name}-${mode}`,
      folder: path.join(folder, where.replaceAll(' ', '-')),
      name: `${kind}-${name}-${mode}`,
      more: { ...keys, rate: 50, ...(mode === 'produce' ? { count: COUNT } : {}) },
      ...(jvm ? { jvm } : {}),
    });
    clients.push(client);
    return client;
  };
  const keysOf = (client: RunningClient, phase?: 'ok') =>
    client
      .events()
      .filter((event) => (phase ? event.phase === phase : event.op === 'consume'))
      .map(({ key }) => key);

  const roundTrip = async (run: Omit<Run, 'mode'>) => {
    const [reader, writer] = await Promise.all([
      start({ ...run, mode: 'consume' }),
      start({ ...run, mode: 'produce' }),
    ]);
    await writer.finished();
    const sent = keysOf(writer, 'ok');
    // A stock broker may be too slow for a client on a busy machine; ours never.
    if (where === 'ours') expect(sent).toHaveLength(COUNT);
    else expect(sent.length).toBeGreaterThan(0);
    const hasAll = () => sent.every((key) => keysOf(reader).includes(key));
    await waitFor(`${run.kind} to read what it sent`, hasAll, PATIENCE);
    await reader.stop();
  };

  test.each(KINDS)('%s with its keys sends and consumes', async (kind) => {
    await roundTrip({ kind, name: 'keys', keys: USER });
  });

  test.each(KINDS)('%s with a wrong secret sends nothing', async (kind) => {
    const keys = { ...USER, secretKey: 'another-secret' };
    const writer = await start({ kind, mode: 'produce', name: 'wrong', keys });
    await writer.finished().catch(() => undefined);
    expect(keysOf(writer, 'ok')).toEqual([]);
    expect(writer.events().length).toBeGreaterThan(0);
  });

  test.each(['java-4.9.8', 'java-5.5.0'] as const)(
    '%s over TLS with its keys sends and consumes',
    async (kind) => {
      await roundTrip({ kind, name: 'tls', keys: USER, jvm: ['-Dtls.enable=true'] });
    },
  );

  test('mqadmin 5.5.0 with conf/tools.yml makes a topic', async () => {
    const name = `tools-5-${where === 'ours'}`;
    const at = { version: '5.5.0' as const, folder: path.join(folder, name) };
    fs.mkdirSync(path.join(at.folder, 'conf'), { recursive: true });
    const tools = `accessKey: ${ADMIN.accessKey}\nsecretKey: ${ADMIN.secretKey}\n`;
    fs.writeFileSync(path.join(at.folder, 'conf/tools.yml'), tools);
    const { broker, namesrv } = site();
    const topic = ['-n', namesrv, '-b', broker, '-t', 'made-by-5', '-r', '2', '-w', '2'];
    expect(await mqadmin(at, 'updateTopic', topic)).toContain('success');
  });

  test('mqadmin 4.9.7 with conf/tools.yml administers, without it nothing', async () => {
    const at = {
      version: '4.9.7' as const,
      folder: path.join(folder, `tools-${where === 'ours'}`),
    };
    const { broker } = site();
    const topic = ['-b', broker, '-t', 'made-by-tool', '-r', '2', '-w', '2'];
    await expect(mqadmin(at, 'updateTopic', topic)).rejects.toThrow(/AclException/);
    const tools = `accessKey: ${ADMIN.accessKey}\nsecretKey: ${ADMIN.secretKey}\n`;
    fs.writeFileSync(path.join(at.folder, 'conf/tools.yml'), tools);
    expect(await mqadmin(at, 'updateTopic', topic)).toContain('success');
    const account = [
      '-b',
      broker,
      '-a',
      'made-by-tool',
      '-s',
      'secret-of-tool',
      '-i',
      'SUB',
      '-t',
      'x=PUB,y=SUB',
    ];
    expect(await mqadmin(at, 'updateAclConfig', account)).toContain('success');
    const shown = await mqadmin(at, 'getAclConfig', ['-b', broker]);
    expect(shown).toMatch(/accessKey +: made-by-tool/);
    expect(shown).toMatch(/topicPerms +: \[x=PUB, y=SUB\]/);
    const version = await mqadmin(at, 'clusterAclConfigVersion', ['-b', broker]);
    expect(version).toContain('plain_acl.yml');
    expect(version.replace(/\s+/g, ' ')).toMatch(/broker-a/);
    const whites = ['-b', broker, '-g', '10.9.8.7,10.9.7.*'];
    expect(await mqadmin(at, 'updateGlobalWhiteAddr', whites)).toContain('success');
    expect(await mqadmin(at, 'deleteAclConfig', ['-b', broker, '-a', 'made-by-tool'])).toContain(
      'success',
    );
    const left = await mqadmin(at, 'getAclConfig', ['-b', broker]);
    expect(left).toContain('10.9.8.7');
    expect(left).not.toContain('made-by-tool');
  });
});
