// TLS and plain text on one port, over real sockets: modes, certificates of clients, rotation, and that
// nothing of a refused connection reaches a handler.
import * as fs from 'node:fs';
import * as tls from 'node:tls';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { encodeRequest } from '../../core-broker/protocol/index.ts';
import {
  RemotingClient,
  RemotingServer,
  RequestDispatcher,
  type RequestHandler,
  ServerTls,
  type TlsClientSettings,
  type TlsServerSettings,
  tlsSettings,
} from '../../core-broker/remoting/index.ts';
import { rawConnection } from '../support/raw-connection.ts';
import { tlsFolder } from '../support/tls-files.ts';
import { until } from '../support/until.ts';

const files = tlsFolder();
const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => files.remove());

const SERVER: TlsServerSettings = {
  mode: 'permissive',
  files: undefined,
  isTest: true,
  clientAuth: 'none',
  isAuthClient: false,
  trustPath: undefined,
};
const ANY_SERVER: TlsClientSettings = {
  files: undefined,
  isAuthServer: false,
  trustPath: undefined,
};

interface Served {
  address: string;
  port: number;
  tls: ServerTls;
  seen: string[];
}

/** A server that answers a request with its own body and remembers it. */
async function serve(
  settings: Partial<TlsServerSettings>,
  receive: 'events' | 'reused' = 'events',
): Promise<Served> {
  const seen: string[] = [];
  const echo: RequestHandler = ({ body }) => {
    seen.push(`${body?.length}`);
    return { code: 0, ...(body ? { body } : {}) };
  };
  const listener = new RequestDispatcher({
    handlers: new Map([[1, echo]]),
    toResponse: ({ message }) => ({ code: 1, remark: message }),
  });
  const own = new ServerTls({ ...SERVER, ...settings }, 20);
  const server = new RemotingServer({ host: '127.0.0.1', port: 0, listener, receive, tls: own });
  const port = await server.listen();
  closing.push(() => server.close());
  return { address: `127.0.0.1:${port}`, port, tls: own, seen };
}

function client(identity: { tls?: TlsClientSettings } = {}): RemotingClient {
  const made = new RemotingClient({ identity, connectTimeoutMs: 3_000 });
  closing.push(() => made.close());
  return made;
}

const call = (from: RemotingClient, to: Served, body = 'hello') =>
  from.invoke(to.address, { code: 1, body }, 20_000);

/** Serial number of the certificate a new connection gets. */
function serialAt(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

describe.each(['events', 'reused'] as const)('one port, sockets read by %s', (receive) => {
  test('serves plain text and TLS side by side, small and large', async () => {
    const server = await serve({}, receive);
    const big = 'x'.repeat(3_000_000);
    for (const from of [client(), client({ tls: ANY_SERVER })]) {
      expect((await call(from, server)).body?.toString()).toBe('hello');
      expect((await call(from, server, big)).body?.toString()).toBe(big);
      const many = Array.from({ length: 500 }, (_, i) => call(from, server, `${i}`));
      const answers = await Promise.all(many);
      expect(answers.map(({ body }) => body?.toString())).toEqual(many.map((__, i) => `${i}`));
    }
  });

  test('enforcing closes plain text unread', async () => {
    const server = await serve({ mode: 'enforcing' }, receive);
    await expect(call(client(), server)).rejects.toMatchObject({ code: 'NETWORK' });
    expect(server.seen).toEqual([]);
    expect((await call(client({ tls: ANY_SERVER }), server)).code).toBe(0);
    const raw = await rawConnection(server.address);
    raw.write(encodeRequest({ code: 1, body: 'x' }, 1));
    raw.write(encodeRequest({ code: 1, body: 'x' }, 2));
    await raw.closed();
    expect(server.seen).toEqual(['5']);
  });

  test('disabled closes TLS', async () => {
    const server = await serve({ mode: 'disabled' }, receive);
    await expect(call(client({ tls: ANY_SERVER }), server)).rejects.toMatchObject({
      code: 'NETWORK',
    });
    expect((await call(client(), server)).code).toBe(0);
  });

  test('rubbish that looks like a handshake is closed', async () => {
    const server = await serve({ mode: 'enforcing' }, receive);
    const raw = await rawConnection(server.address);
    raw.write(Buffer.from([0x16]));
    await new Promise((resolve) => setImmediate(resolve));
    raw.write(Buffer.from([3, 1, 0, 5, 99, 99, 99, 99, 99]));
    await raw.closed();
    expect(server.seen).toEqual([]);
  });
});

describe('certificates of clients', () => {
  const good = files.pair('client-good');
  const other = files.pair('client-other');
  const withCertificate = (pair: typeof good) => client({ tls: { ...ANY_SERVER, files: pair } });

  test('require and authClient: only what the trust file signs gets in', async () => {
    const server = await serve({
      clientAuth: 'require',
      isAuthClient: true,
      trustPath: good.certPath,
      mode: 'enforcing',
    });
    expect((await call(withCertificate(good), server)).code).toBe(0);
    await expect(call(withCertificate(other), server)).rejects.toThrow();
    await expect(call(client({ tls: ANY_SERVER }), server)).rejects.toThrow();
    expect(server.seen).toEqual(['5']);
  });

  test('optional and authClient: none is fine, a wrong one is not', async () => {
    const server = await serve({
      clientAuth: 'optional',
      isAuthClient: true,
      trustPath: good.certPath,
    });
    expect((await call(client({ tls: ANY_SERVER }), server)).code).toBe(0);
    expect((await call(withCertificate(good), server)).code).toBe(0);
    await expect(call(withCertificate(other), server)).rejects.toThrow();
  });

  test('require without authClient: any certificate, as in Apache', async () => {
    const server = await serve({ clientAuth: 'require' });
    expect((await call(withCertificate(other), server)).code).toBe(0);
    await expect(call(client({ tls: ANY_SERVER }), server)).rejects.toThrow();
  });
});

describe('certificates of servers', () => {
  test('authServer accepts what the trust file signs and nothing else', async () => {
    const pair = files.pair('server-a');
    const other = files.pair('server-b');
    const server = await serve({ files: pair, isTest: false });
    const trusting = (trustPath: string) =>
      client({ tls: { ...ANY_SERVER, isAuthServer: true, trustPath } });
    expect((await call(trusting(pair.certPath), server)).code).toBe(0);
    await expect(call(trusting(other.certPath), server)).rejects.toMatchObject({ code: 'NETWORK' });
  });
});

describe('rotation', () => {
  test('new connections get the new certificate, standing ones go on, halves change nothing', async () => {
    const pair = files.pair('rotating');
    const server = await serve({ files: pair, isTest: false });
    const standing = client({ tls: ANY_SERVER });
    expect((await call(standing, server)).code).toBe(0);
    const first = await serialAt(server.port);
    const oldKey = fs.readFileSync(pair.keyPath);
    files.pair('rotating');
    const newKey = fs.readFileSync(pair.keyPath);
    fs.writeFileSync(pair.keyPath, oldKey);
    server.tls.lookAgain();
    expect(await serialAt(server.port)).toBe(first);
    fs.writeFileSync(pair.certPath, 'rubbish');
    server.tls.lookAgain();
    expect(await serialAt(server.port)).toBe(first);
    fs.rmSync(pair.certPath);
    server.tls.lookAgain();
    expect(await serialAt(server.port)).toBe(first);
    files.pair('rotating', Date.now() - 20 * 365 * 86_400_000);
    server.tls.lookAgain();
    expect(await serialAt(server.port)).toBe(first);
    expect(newKey).not.toEqual(oldKey);
    files.pair('rotating');
    await until(async () => (await serialAt(server.port)) !== first, 'the watched files are taken');
    expect((await call(standing, server)).code).toBe(0);
    expect((await call(client({ tls: ANY_SERVER }), server)).code).toBe(0);
  });

  test('files that do not belong together do not start a server', () => {
    const { keyPath } = files.pair('left');
    const { certPath } = files.pair('right');
    const pair = { keyPath, certPath, password: undefined };
    expect(() => new ServerTls({ ...SERVER, isTest: false, files: pair })).toThrow(
      /is not the certificate of/,
    );
    const none = { keyPath, certPath: `${certPath}.none`, password: undefined };
    expect(() => new ServerTls({ ...SERVER, isTest: false, files: none })).toThrow(
      /cannot be read \(ENOENT\)/,
    );
  });
});

describe('settings', () => {
  test('self-signed serves only where no certificate is configured, or on request', () => {
    const pair = { 'tls.server.keyPath': 'k.pem', 'tls.server.certPath': 'c.pem' };
    expect(tlsSettings({}, '/c').server).toMatchObject({ mode: 'permissive', isTest: true });
    expect(tlsSettings(pair, '/c').server).toMatchObject({
      isTest: false,
      files: { keyPath: '/c/k.pem' },
    });
    expect(tlsSettings({ 'tls.test.mode.enable': 'false' }, '/c').server.isTest).toBe(false);
    const enforcing = { 'tls.server.mode': 'enforcing' } as const;
    expect(() => tlsSettings(enforcing, '/c')).toThrow(/enforcing needs/);
    expect(tlsSettings({ ...enforcing, 'tls.test.mode.enable': 'true' }, '/c').server.isTest).toBe(
      true,
    );
    expect(() => tlsSettings({ ...pair, 'tls.test.mode.enable': 'true' }, '/c')).toThrow(/exclude/);
    expect(
      tlsSettings({ 'tls.enable': 'true', 'tls.client.authServer': 'true' }, '/c').client,
    ).toEqual({
      files: undefined,
      isAuthServer: true,
      trustPath: undefined,
    });
  });

  test("Apache's file wins over the own keys, but not for mode and enable, and shows no password", () => {
    const file = `${files.folder}/tls.properties`;
    fs.writeFileSync(
      file,
      'tls.server.mode=disabled\ntls.enable=true\ntls.server.keyPath=own.key\ntls.server.certPath=own.pem\ntls.server.keyPassword=very-secret\ntls.server.need.client.auth=REQUIRE\n',
    );
    const settings = tlsSettings({ 'tls.config.file': file, 'tls.server.keyPath': '/x' }, '/c');
    expect(settings.client).toBeUndefined();
    expect(settings.server).toMatchObject({
      mode: 'permissive',
      clientAuth: 'require',
      files: { keyPath: `${files.folder}/own.key`, certPath: `${files.folder}/own.pem` },
    });
    expect(JSON.stringify(settings)).not.toContain('very-secret');
    fs.writeFileSync(file, '\ntls.server.authClient=maybe\n');
    expect(() => tlsSettings({ 'tls.config.file': file }, '/c')).toThrow(
      /tls.properties:2: tls.server.authClient: use true or false/,
    );
  });
});
