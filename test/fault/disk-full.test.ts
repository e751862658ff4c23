// A broker whose disk is really full: writes are refused with 14, what was acknowledged is read, and
// writes are taken again when space returns, without a restart. And a backup into a full or vanished
// target: an error, no manifest, nothing that could be restored. The small disk is a tmpfs of its own.
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { DR_ENTRY, waitFor } from '../../cli/demo/process.ts';
import { createPeerClient, Producer } from '../../core-broker/client/index.ts';
import { auditTopic } from '../support/regions/order-flow.ts';
import { onSmallDisk } from '../support/regions/small-disk.ts';
import { PATIENT_MS, Stage } from '../support/regions/stage.ts';

let stage: Stage;
afterEach(() => stage?.close());

/** Starts a shell on the small disk that runs the daemon and takes commands on stdin. */
function onDisk(folder: string, size: string, program: string[]) {
  const script = '"$@" & while read -r line; do eval "$line" </dev/null; echo "did $?"; done; wait';
  const words = onSmallDisk(folder, size, ['sh', '-c', script, 'sh', ...program]);
  const child = spawn(words[0] ?? '', words.slice(1), { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (bytes: Buffer) => {
      said += bytes.toString();
    });
  }
  return {
    child,
    said: () => said,
    /** Runs one shell line where the disk is visible. */
    async run(line: string): Promise<void> {
      const before = said.split('did ').length;
      child.stdin.write(`${line}\n`);
      await waitFor(line, () => said.split('did ').length > before, { timeoutMs: PATIENT_MS });
    },
  };
}

test('a full disk refuses writes with 14, reads go on, and space brings writes back', async () => {
  stage = await Stage.layOut('disk-full', {
    mappedFileSizeCommitLog: 1024 * 1024,
    brokerLines: ['mappedFileSizeConsumeQueue=60000', 'messageIndexEnable=false'],
  });
  const { store, drYaml, nameserver, broker } = stage.files('east');
  await stage.regions.startGlobal();
  const disk = onDisk(store, '12m', [process.execPath, DR_ENTRY, 'standby', '-c', drYaml]);
  stage.onClose(disk, async ({ child, run }) => {
    await run('kill -9 %1 2>/dev/null || kill -9 $!').catch(() => undefined);
    child.kill('SIGKILL');
  });
  await stage.ready('east');
  const producer = new Producer({ nameservers: [nameserver], group: 'filler', retryTimes: 0 });
  producer.start();
  stage.onClose(producer, (each) => each.stop());
  const peer = stage.onClose(createPeerClient(), async (each) => each.close());
  const acknowledged: string[] = [];
  const send = async (order: string): Promise<number> => {
    const body = JSON.stringify({ order, filler: 'x'.repeat(60_000) });
    try {
      await producer.send({ topic: 'ORDERS', body });
      acknowledged.push(order);
      return 0;
    } catch (reason) {
      return Number((reason as { context?: { code?: number } }).context?.code ?? -1);
    }
  };
  let code = 0;
  // The send that meets the full disk is given up and refused too, at once.
  for (let i = 0; code !== 14 && i < 1_000; i++) code = await send(`order-${i}`);
  expect(code, disk.said().slice(-500)).toBe(14);
  expect(acknowledged.length).toBeGreaterThan(20);
  // Reads go on, of everything that was acknowledged.
  const read = new Set((await auditTopic(nameserver)).map(({ key }) => key));
  expect(acknowledged.filter((order) => !read.has(order))).toEqual([]);
  const refused = await peer.invoke(broker, { code: 28 }, 10_000);
  expect(refused.code).toBe(0);
  await disk.run(`mount -o remount,size=64m "${store}"`);
  await waitFor('writes to be taken again', async () => (await send('after')) === 0, {
    timeoutMs: PATIENT_MS,
  });
  const all = new Set((await auditTopic(nameserver)).map(({ key }) => key));
  expect(acknowledged.filter((order) => !all.has(order))).toEqual([]);
});

test('a backup into a full target is an error and leaves no restore point', async () => {
  stage = await Stage.layOut('backup-full');
  await stage.regions.startGlobal();
  await stage.regions.startRegion('east');
  await stage.ready('east');
  const { nameserver, drYaml } = stage.files('east');
  const producer = new Producer({ nameservers: [nameserver], group: 'filler' });
  producer.start();
  stage.onClose(producer, (each) => each.stop());
  for (let i = 0; i < 40; i++) {
    const body = crypto.getRandomValues(new Uint8Array(60_000));
    await producer.send({ topic: 'ORDERS', body });
  }
  const target = path.join(stage.folder, 'backups');
  const disk = onDisk(target, '1m', ['true']);
  stage.onClose(disk, async ({ child }) => child.kill('SIGKILL'));
  const out = path.join(stage.folder, 'answers');
  const dr = (words: string) =>
    `${process.execPath} ${DR_ENTRY} ${words} -c "${drYaml}" >>"${out}" 2>&1; echo "exit $?" >>"${out}"`;
  await disk.run(dr('backup run'));
  await disk.run(dr('backup list -o json'));
  await disk.run(dr(`restore --into "${path.join(stage.folder, 'restored')}"`));
  const said = fs.readFileSync(out, 'utf8');
  const exits = [...said.matchAll(/^exit (\d+)$/gm)].map(([, status]) => Number(status));
  expect(exits[0], said).toBe(1);
  expect(exits[1], said).toBe(0);
  expect(exits[2], said).toBe(10);
  expect(said).toMatch(/DISK_FULL|no space|full/i);
  expect(fs.existsSync(path.join(stage.folder, 'restored', 'commitlog'))).toBe(false);
});
