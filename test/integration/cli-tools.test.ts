// dr log, dr config and dr doctor as an operator runs them: real files, exit statuses, JSON.
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { agreement, clockOf } from '../../cli/commands/doctor/peers.ts';
import type { DrStatus } from '../../core-broker/protocol/index.ts';
import { openStore } from '../../core-broker/store/index.ts';
import { drJson, runDr } from '../support/dr-command.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../support/store-options.ts';

let root = '';
beforeEach(() => {
  root = tempFolder();
});
afterEach(() => fs.rmSync(root, { recursive: true }));

async function fill(count: number, stay = false) {
  const store = await openStore(smallStoreOptions(root));
  for (let i = 0; i < count; i++) {
    const properties = { TAGS: `t${i % 3}`, KEYS: `k${i}` };
    store.append(recordSource(store, { queueId: i % 2, body: `body ${i}`, properties }));
  }
  await store.flush();
  if (!stay) await store.close();
  return store;
}

/** Position of a body in the log file. */
function placeIn(text: string): { file: string; at: number } {
  const folder = path.join(root, 'commitlog');
  for (const name of fs.readdirSync(folder)) {
    const file = path.join(folder, name);
    const at = fs.readFileSync(file).indexOf(text);
    if (at >= 0) return { file, at };
  }
  throw new Error(`no ${text} in the log`);
}

function overwrite(file: string, at: number, text: string): void {
  const fd = fs.openSync(file, 'r+');
  fs.writeSync(fd, text, at);
  fs.closeSync(fd);
}

describe('dr log', () => {
  test('dump shows records by offset, topic, queue and count, also of a live store', async () => {
    const store = await fill(10, true);
    const all = await runDr(['log', 'dump', root, '-o', 'json']);
    expect(all.status).toBe(0);
    const rows = all.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(rows.map((row) => row.body)).toEqual(Array.from({ length: 10 }, (_, i) => `body ${i}`));
    const words = ['--from', String(rows[4].offset), '--queue', '1', '--count', '2'];
    const some = await runDr(['log', 'dump', root, ...words, '--body', 'hex']);
    expect(some.stdout).toContain(Buffer.from('body 5').toString('hex'));
    expect(some.stdout).not.toContain(Buffer.from('body 9').toString('hex'));
    expect(some.stderr).toMatch(/2 records; there are more/);
    const wrong = await runDr(['log', 'dump', root, '--from', String(rows[4].offset + 1)]);
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toContain(`the next one begins at ${rows[5].offset}`);
    const verify = await runDr(['log', 'verify', root]);
    expect(verify.status).toBe(7);
    expect((await runDr(['log', 'rebuild', root])).status).toBe(7);
    await store.close();
  });

  test('verify finds a sound store sound', async () => {
    await fill(300);
    const answer = await drJson<Record<string, unknown>>(['log', 'verify', root], root);
    expect(answer).toMatchObject({ isSound: true, records: 300, missing: 0, indexEntries: 300 });
    expect((await runDr(['log', 'verify', path.join(root, 'nothing')])).status).toBe(10);
  });

  test('verify names file and offset of damage, in the log and in a queue', async () => {
    await fill(300);
    const { file, at } = placeIn('body 100');
    overwrite(file, at, 'BODY');
    const damaged = await runDr(['log', 'verify', root]);
    expect(damaged.status).toBe(9);
    expect(damaged.stdout).toContain(`${file}: damaged record at offset`);
    expect((await runDr(['log', 'rebuild', root])).status).toBe(9);
    overwrite(file, at, 'body');
    const queue = path.join(root, 'consumequeue', 'orders', '0', '0'.repeat(20));
    overwrite(queue, 5 * 20 + 8, '\0\0\0\x07');
    const wrong = await runDr(['log', 'verify', root]);
    expect(wrong.status).toBe(9);
    expect(wrong.stdout).toMatch(/orders 0 5: the entry of its queue leads elsewhere/);
  });

  test('rebuild mends queues and index', async () => {
    await fill(300);
    fs.rmSync(path.join(root, 'consumequeue', 'orders', '1'), { recursive: true });
    expect((await runDr(['log', 'verify', root])).status).toBe(9);
    const answer = await drJson<Record<string, unknown>>(['log', 'rebuild', root], root);
    expect(answer).toMatchObject({ records: 300, queues: 2 });
    expect((await runDr(['log', 'verify', root])).status).toBe(0);
  });
});

describe('dr config', () => {
  const kinds = ['dr', 'broker', 'nameserver', 'gateway'];
  test.each(kinds)('the example of %s validates and is recognised', async (kind) => {
    const { stdout } = await runDr(['config', 'example', kind]);
    const file = path.join(root, kind === 'dr' ? 'dr.yaml' : 'some.properties');
    fs.writeFileSync(file, stdout);
    fs.writeFileSync(path.join(root, 'dr.secret'), 'a secret of sixteen bytes or more');
    const found = await drJson<{ kind: string }>(['config', 'validate', file], root);
    expect(found).toMatchObject({ kind, valid: true });
    const shown = await drJson<{ values: { source: string }[] }>(['config', 'show', file], root);
    expect(shown.values.some((row) => row.source.startsWith(`${file}:`))).toBe(true);
    expect(shown.values.some((row) => row.source === 'default')).toBe(true);
    expect(JSON.stringify(shown)).not.toContain('a secret of sixteen');
  });

  test('every mistake of a file is named with its line and the nearest key', async () => {
    const file = path.join(root, 'b.properties');
    fs.writeFileSync(file, 'brokerName=b\nlistenPrt=1\nflushDiskType=FOO\nbrokerId=x\n');
    const run = await runDr(['config', 'validate', file]);
    expect(run.status).toBe(2);
    expect(run.stdout).toMatch(
      /b\.properties:2: unknown key listenPrt; nearest known key: listenPort/,
    );
    expect(run.stdout).toMatch(/b\.properties:3: flushDiskType: 'FOO'/);
    expect(run.stdout).toMatch(/b\.properties:4: brokerId: 'x'/);
    expect((await runDr(['config', 'show', file])).status).toBe(2);
    expect((await runDr(['config', 'example', 'borker'])).status).toBe(2);
  });

  test('a key given twice is a warning that names both lines', async () => {
    const file = path.join(root, 'b.properties');
    fs.writeFileSync(file, 'brokerName=b\nlistenPort=10911\n# again\nlistenPort=10921\n');
    const run = await runDr(['config', 'validate', file]);
    expect(run.status).toBe(0);
    expect(run.stdout).toMatch(/b\.properties:4: listenPort is given twice: line 2 does not count/);
  });
});

describe('what an operator is told when a server cannot start', () => {
  const start = (text: string) => {
    const file = path.join(root, 'broker.properties');
    fs.writeFileSync(file, `bindAddress=127.0.0.1\nhaListenPort=0\n${text}`);
    return runDr(['broker', '-c', file]);
  };

  test('a store folder that cannot be made is a mistake of the configuration', async () => {
    fs.writeFileSync(path.join(root, 'file'), '');
    const run = await start(`listenPort=0\nstorePathRootDir=${root}/file/store\n`);
    expect(run.status).toBe(2);
    expect(run.stderr).toMatch(/file\/store: cannot be used as a store \((ENOTDIR|EEXIST)\)/);
    expect(run.stderr).toContain('storePathRootDir');
  });

  test('a taken port is named, and who knows its holder', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as net.AddressInfo;
    const run = await start(`listenPort=${port}\nstorePathRootDir=${root}/store\n`);
    server.close();
    expect(run.status).toBe(7);
    expect(run.stderr).toMatch(new RegExp(`port .*${port} is in use by another process`));
    expect(run.stderr).toContain('dr doctor');
  });

  test('a file of the other kind', async () => {
    const yaml = path.join(root, 'dr.yaml');
    fs.writeFileSync(yaml, 'region: east\n');
    const broker = await runDr(['broker', '-c', yaml]);
    expect(broker.status).toBe(2);
    expect(broker.stderr).toContain('a .properties file is expected');
    const properties = path.join(root, 'broker.properties');
    fs.writeFileSync(properties, 'brokerName=b\n');
    const status = await runDr(['status', '-c', properties]);
    expect(status.status).toBe(2);
    expect(status.stderr).toContain('a YAML file is expected');
  });

  test('a file that is not there', async () => {
    const run = await runDr(['broker', '-c', path.join(root, 'none')]);
    expect(run.status).toBe(2);
    expect(run.stderr).toContain('dr config example');
  });
});

describe('dr doctor', () => {
  test('says which ports are taken and by whom, and what a file gets wrong', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as net.AddressInfo;
    const file = path.join(root, 'namesrv.properties');
    fs.writeFileSync(file, `bindAddress=127.0.0.1\nlistenPort=${port}\n`);
    const words = ['doctor', '-c', file, '-n', '127.0.0.1:1', '--timeout', '500'];
    type Row = { area: string; check: string; state: string; seen: string; advice: string };
    const { findings } = await drJson<{ findings: Row[] }>(words, root, [0, 4]);
    server.close();
    const taken = findings.find((row) => row.area === 'ports');
    expect(taken).toMatchObject({ state: 'warn', seen: expect.stringContaining(`${process.pid}`) });
    expect(findings.find((row) => row.check.startsWith('O_DSYNC'))?.seen).toMatch(/p50 .* p99/);
    const silent = findings.find((row) => row.area === 'peers');
    expect(silent).toMatchObject({ state: 'warn', advice: expect.stringContaining('start it') });
    for (const row of findings) if (row.state !== 'ok') expect(row.advice).not.toBe('');
    fs.writeFileSync(file, 'listenPrt=1\n');
    expect((await runDr(['doctor', '-c', file])).status).toBe(4);
  });

  test('two active regions are bad, an old epoch is a warning', () => {
    const at = (region: string, role: string, writeState: string, epoch: number) => ({
      region,
      status: { role, writeState, epoch } as DrStatus,
    });
    const east = at('east', 'active', 'open', 3);
    expect(agreement([east, at('west', 'active', 'open', 2)]).state).toBe('bad');
    expect(agreement([east, at('west', 'standby', 'standby', 2)]).state).toBe('warn');
    expect(agreement([east, at('west', 'standby', 'standby', 3)]).state).toBe('ok');
    expect(agreement([at('west', 'standby', 'standby', 3)]).state).toBe('warn');
  });

  test('a broker’s clock is read from its runtime info', () => {
    const runtime = '[ 1 days, 2 hours, 3 minutes, 4 seconds ]';
    expect(clockOf({ bootTimestamp: '1000', runtime })).toBe(1_000 + 93_784_000 + 500);
    expect(clockOf({})).toBeUndefined();
  });
});
