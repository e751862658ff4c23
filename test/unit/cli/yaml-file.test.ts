// Complaints about dr.yaml: file, line and column, the key, what is allowed, the nearest known key.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadDrConfig } from '../../../cli/config/dr-config.ts';
import { configExample } from '../../../cli/config/reference.ts';
import { DrError } from '../../../core-broker/base/index.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-yaml-'));
const file = path.join(folder, 'dr.yaml');
const GOOD = configExample();

beforeAll(() => fs.writeFileSync(path.join(folder, 'dr.secret'), 'a'.repeat(32)));
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

function complaint(text: string): DrError {
  fs.writeFileSync(file, text);
  try {
    loadDrConfig(file);
  } catch (reason) {
    return DrError.from(reason);
  }
  throw new Error('the file was taken');
}

test('the printed example loads', () => {
  fs.writeFileSync(file, GOOD);
  expect(loadDrConfig(file)).toMatchObject({ region: 'east', initialActive: 'east' });
});

test('an unknown key names its place and the nearest known key', () => {
  const line = GOOD.split('\n').length;
  const failure = complaint(`${GOOD}switchovr: { reverseLink: false }\n`);
  expect(failure.code).toBe('CONFIG');
  expect(failure.message).toContain(`${file}:${line}:1: unknown key switchovr`);
  expect(failure.hint).toBe('Did you mean switchover?');
});

test('an unknown key inside a section is compared with the keys of that section', () => {
  const failure = complaint(`${GOOD}link:\n  bandwidth: 5\n`);
  expect(failure.message).toMatch(/:\d+:3: unknown key link\.bandwidth/);
  expect(failure.hint).toBe('Did you mean bandwidthBytesPerSec?');
});

test.each([
  ['a missing key', (text: string) => text.replace(/^region: .*\n/m, ''), 'region: is required'],
  [
    'a bad address',
    (text: string) => text.replace('10.0.0.1:9876', 'nowhere'),
    'host:port expected',
  ],
  ['a wrong type', (text: string) => `${text}leaseMs: soon\n`, 'leaseMs: Invalid input'],
  ['an out-of-bounds number', (text: string) => `${text}http: { port: 70000 }\n`, 'http.port'],
  [
    'a region that is none',
    (text: string) => text.replace('region: east', 'region: north'),
    'north',
  ],
  [
    'three regions',
    (text: string) =>
      text.replace(
        'regions:\n',
        'regions:\n  north: { nameservers: ["a:1"], brokers: { b: "a:2" } }\n',
      ),
    'exactly two regions',
  ],
  ['broken YAML', () => 'region: [', 'dr.yaml:1:'],
])('%s is refused and named', (_name, change, expected) => {
  const failure = complaint(change(GOOD));
  expect(failure.code).toBe('CONFIG');
  expect(failure.message).toContain(expected);
});

test('a missing or short secret is an authentication error that says what to do', () => {
  const missing = complaint(GOOD.replace('./dr.secret', './none'));
  expect(missing.code).toBe('AUTH');
  expect(missing.hint).toContain('openssl rand');
  fs.writeFileSync(path.join(folder, 'short'), 'abc');
  expect(complaint(GOOD.replace('./dr.secret', './short')).code).toBe('AUTH');
});
