// `dr broker -c FILE` as an operator runs it, with its HTTP port: health, status, metrics, nothing else,
// and what it says while the broker stops.
import * as fs from 'node:fs';
import { afterAll, expect, test } from 'vitest';
import { DR_ENTRY, type RunningProcess, startProcess, waitFor } from '../../cli/demo/process.ts';
import { httpGet } from '../../cli/demo/regions.ts';
import { RequestCode } from '../../core-broker/protocol/index.ts';
import { sendFields } from '../support/broker-fixture.ts';
import { DrParts, freePort } from '../support/dr-parts.ts';

const parts = new DrParts();
const running: RunningProcess[] = [];
afterAll(async () => {
  await Promise.all(running.map((each) => each.stop('SIGKILL')));
  await parts.close();
});

test('a broker with drHttpPort tells health, status and metrics, and ends with 0', async () => {
  const [port, httpPort] = [await freePort(true), await freePort()];
  const file = parts.write('broker-http.conf', [
    `listenPort=${port}`,
    `haListenPort=${await freePort()}`,
    `drHttpPort=${httpPort}`,
    'bindAddress=127.0.0.1',
    'brokerIP1=127.0.0.1',
    `storePathRootDir=${parts.folder}/store-http`,
    'mappedFileSizeCommitLog=1048576',
    'enableShutdownGracefully=true',
    'waitTimeMillsInSendQueue=7',
  ]);
  const args = [DR_ENTRY, 'broker', '-c', file];
  const one = startProcess({ name: 'broker-http', args, logFile: `${parts.folder}/broker.log` });
  running.push(one);
  const http = `127.0.0.1:${httpPort}`;
  const get = async (route: string) => await httpGet(http, route);
  await waitFor('the broker', async () => (await get('/health/ready'))?.status === 200, {
    watch: [one],
  });
  expect(JSON.parse((await get('/health/live'))?.body ?? '')).toEqual({ live: true });
  expect(JSON.parse((await get('/status'))?.body ?? '')).toMatchObject({
    health: { ready: true, reasons: [] },
  });
  const send = {
    code: RequestCode.SEND_MESSAGE_V2,
    ext: sendFields('T') as Record<string, string>,
  };
  const answer = await parts.peer.invoke(`127.0.0.1:${port}`, { ...send, body: 'm' }, 20_000);
  expect(answer.code).toBe(0);
  const metrics = (await get('/metrics'))?.body ?? '';
  expect(metrics).toMatch(/^dr_broker_sends_messages 1$/m);
  expect(metrics).toMatch(/^dr_broker_connections 1$/m);
  for (const route of ['/', '/health', '/status/more', '/../etc/passwd']) {
    expect((await get(route))?.status, route).toBe(404);
  }
  // Its client stays connected, so the farewell goes on until the connection is closed.
  const status = one.stop('SIGTERM');
  await waitFor('not ready', async () => (await get('/health/ready'))?.status === 503, {
    watch: [one],
  });
  expect((await get('/health/ready'))?.body).toContain('the broker is stopping');
  parts.peer.close();
  expect(await status).toBe(0);
  // Said once, at the start: a key of the file that has no effect here.
  const said = fs.readFileSync(`${parts.folder}/broker.log`, 'utf8');
  expect(said.match(/waitTimeMillsInSendQueue is known but has no effect here/g)).toHaveLength(1);
});
