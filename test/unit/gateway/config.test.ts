// Configuration of a gateway: everything is needed, mistakes name file and line.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadGatewayConfig } from '../../../switchover/gateway/index.ts';

let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-gw-'));
  fs.writeFileSync(path.join(folder, 'secret'), 'x\n');
});
afterAll(() => fs.rmSync(folder, { recursive: true }));

const GOOD = {
  drListen: 'broker-a=0.0.0.0:20911,broker-b=[::1]:20921',
  drRegions: 'east=broker-a=e:1;broker-b=e:2|west=broker-a=w:1;broker-b=w:2',
  drActiveRegion: 'east',
  drStatePath: 'state',
  drSecretFile: 'secret',
  drControlPort: '20900',
};

function load(changes: Partial<Record<keyof typeof GOOD | 'extra', string>> = {}) {
  const file = path.join(folder, 'gw.conf');
  const lines = Object.entries({ ...GOOD, ...changes }).map(([key, value]) => `${key}=${value}`);
  fs.writeFileSync(file, lines.join('\n'));
  return loadGatewayConfig(file);
}

test('a whole configuration is read', () => {
  const config = load();
  expect(config.listen.get('broker-b')).toEqual({ host: '::1', port: 20_921 });
  expect(config.regions.get('west')?.get('broker-a')).toEqual({ host: 'w', port: 1 });
  expect(config.control).toEqual({ host: '0.0.0.0', port: 20_900 });
  expect(config.statePath).toBe(path.join(folder, 'state'));
});

test('mistakes are named', () => {
  expect(() => load({ drListen: 'broker-a' })).toThrow(/gw\.conf:1: drListen: .*NAME=VALUE/);
  expect(() => load({ drListen: 'broker-a=h:99999' })).toThrow(/not host:port/);
  expect(() => load({ drRegions: 'east=broker-a=e:1' })).toThrow(/east does not say.*broker-b/);
  expect(() => load({ drActiveRegion: 'north' })).toThrow(/gw\.conf:3: .*one of east, west/);
  expect(() => load({ drSecretFile: 'none' })).toThrow(/missing or empty/);
  expect(() => load({ drStatePath: '' })).toThrow(/must be given/);
  expect(() => load({ extra: '1' })).toThrow(/unknown key/);
});
