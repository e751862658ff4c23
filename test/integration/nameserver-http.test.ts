// `dr nameserver` as an operator runs it, with its HTTP port: health, status and metrics of a regional
// and of a global name server.
import { afterAll, expect, test } from 'vitest';
import { DR_ENTRY, type RunningProcess, startProcess, waitFor } from '../../cli/demo/process.ts';
import { httpGet } from '../../cli/demo/regions.ts';
import { DrParts, freePort } from '../support/dr-parts.ts';
import { registerRequest, registration } from '../support/registration.ts';

const parts = new DrParts();
const running: RunningProcess[] = [];
afterAll(async () => {
  await Promise.all(running.map((each) => each.stop('SIGKILL')));
  await parts.close();
});

async function start(name: string, lines: string[]): Promise<{ address: string; http: string }> {
  const [port, httpPort] = [await freePort(), await freePort()];
  const own = [`listenPort=${port}`, `drHttpPort=${httpPort}`, 'bindAddress=127.0.0.1'];
  const file = parts.write(`${name}.conf`, [...own, ...lines]);
  const args = [DR_ENTRY, 'nameserver', '-c', file];
  const one = startProcess({ name, args, logFile: `${parts.folder}/${name}.log` });
  running.push(one);
  const http = `127.0.0.1:${httpPort}`;
  const isLive = async () => (await httpGet(http, '/health/live'))?.status === 200;
  await waitFor(name, isLive, { watch: [one] });
  return { address: `127.0.0.1:${port}`, http };
}

test('health, status and metrics of a regional and a global name server', async () => {
  const kv = `kvConfigPath=${parts.folder}/kv-http.json`;
  const regional = await start('regional', [kv]);
  await parts.peer.invoke(regional.address, registerRequest(registration()), 20_000);
  expect((await httpGet(regional.http, '/health/ready'))?.status).toBe(200);
  const status = JSON.parse((await httpGet(regional.http, '/status'))?.body ?? '{}');
  expect(status).toMatchObject({ mode: 'regional', topics: 2 });
  expect(status.brokers).toMatchObject([{ brokerName: 'broker-a', address: '10.0.0.1:10911' }]);
  const metrics = (await httpGet(regional.http, '/metrics'))?.body ?? '';
  expect(metrics).toContain('dr_nameserver_brokers 1');
  expect(metrics).toContain('dr_nameserver_requests_total{code="103"} 1');
  expect(metrics).toContain('dr_nameserver_registrations_total{outcome="taken"} 1');

  const dr = [
    'drMode=global',
    `drRegions=east=${regional.address}|west=127.0.0.1:1`,
    'drActiveRegion=east',
    'drStatePath=global-http',
    'drSecretFile=secret',
    'drPollIntervalMs=50',
  ];
  const global = await start('global', dr);
  const ready = async () => (await httpGet(global.http, '/health/ready'))?.status;
  expect(await ready()).toBe(200);
  await running[0]?.stop('SIGKILL');
  await expect.poll(ready).toBe(503);
  expect((await httpGet(global.http, '/health/ready'))?.body).toContain('active region east');
});

test('a name server that waits for brokers is not ready', async () => {
  const waiting = ['needWaitForService=true', `kvConfigPath=${parts.folder}/kv-waiting.json`];
  const { http } = await start('waiting', waiting);
  expect((await httpGet(http, '/health/ready'))?.status).toBe(503);
});
