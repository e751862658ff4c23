// A port that is held: by the region's own running process, which is well, and by another one, which ends
// a start with the exit status of a held lock. And a folder in which nobody can make a store.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  DR_ENTRY,
  freePort,
  type RunningProcess,
  startProcess,
  waitFor,
} from '../../cli/demo/process.ts';
import { drJson, runDr } from '../support/dr-command.ts';
import { tempFolder } from '../support/store-options.ts';

interface Finding {
  area: string;
  state: string;
  seen: string;
}

let root: string;
let port: number;
let running: RunningProcess;

function brokerFile(name: string, more: Record<string, string | number> = {}): string {
  const values = {
    storePathRootDir: path.join(root, name),
    bindAddress: '127.0.0.1',
    brokerIP1: '127.0.0.1',
    listenPort: port,
    haListenPort: 0,
    ...more,
  };
  const lines = Object.entries(values).map(([key, value]) => `${key}=${value}\n`);
  const file = path.join(root, `${name}.properties`);
  fs.writeFileSync(file, lines.join(''));
  return file;
}

beforeAll(async () => {
  root = tempFolder();
  port = await freePort(true);
  const logFile = path.join(root, 'broker.log');
  // By a path relative to its folder, as operators write it.
  const file = path.relative(process.cwd(), brokerFile('own'));
  running = startProcess({ name: 'own', args: [DR_ENTRY, 'broker', '-c', file], logFile });
  const isUp = () => fs.existsSync(logFile) && fs.readFileSync(logFile, 'utf8');
  await waitFor('the broker', () => (isUp() || '').includes('server.ready') || undefined, {
    watch: [running],
  });
});
afterAll(async () => {
  await running.stop();
  fs.rmSync(root, { recursive: true });
});

const portsOf = async (file: string): Promise<Finding[]> => {
  const answer = await drJson<{ findings: Finding[] }>(['doctor', '-c', file], root, [0, 4]);
  return answer.findings.filter((row) => row.area === 'ports' && !row.seen.includes('free'));
};

test('by the running broker of this very file is well', async () => {
  const found = await portsOf(path.join(root, 'own.properties'));
  expect(found.length).toBeGreaterThanOrEqual(2);
  for (const { state, seen } of found) {
    expect(state).toBe('ok');
    expect(seen).toContain(`in use by the running process ${running.pid}`);
  }
});

test('by a process of another file is a warning that names it', async () => {
  const found = await portsOf(brokerFile('other'));
  for (const { state, seen } of found) {
    expect(state).toBe('warn');
    expect(seen).toContain(`taken by process ${running.pid}`);
  }
  expect(found.length).toBeGreaterThanOrEqual(2);
});

test('ends a second start with 7 and names the port', async () => {
  const { status, stderr } = await runDr(['broker', '-c', brokerFile('second')]);
  expect(status).toBe(7);
  expect(stderr).toContain(`port 127.0.0.1:${port} is in use by another process`);
});

test('a port that this user cannot have ends a start with 2', async () => {
  const strange = { bindAddress: '192.0.2.1', listenPort: await freePort(true) };
  const { status, stderr } = await runDr(['broker', '-c', brokerFile('strange', strange)]);
  expect(status).toBe(2);
  expect(stderr).toContain(`cannot listen on 192.0.2.1:${strange.listenPort}`);
});

test.each(['storePathRootDir', 'storePathCommitLog'])(
  '%s where nothing can be made ends a start with 2',
  async (key) => {
    const values = { [key]: '/proc/no/store', listenPort: await freePort(true) };
    const { status, stderr } = await runDr(['broker', '-c', brokerFile('nowhere', values)]);
    expect(status).toBe(2);
    expect(stderr).toContain(`${key} must name a folder`);
  },
);
