// Apache broker files: what loads, what warns, what is refused and how the complaint reads.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BROKER_KEYS, loadBrokerConfig } from '../../../core-broker/broker/index.ts';

let folder: string;
beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-config-'));
});
afterAll(() => fs.rmSync(folder, { recursive: true, force: true }));

function load(text: string) {
  const file = path.join(folder, 'broker.conf');
  fs.writeFileSync(file, text);
  return loadBrokerConfig(file);
}

const problem = (text: string): string => {
  try {
    load(text);
  } catch (reason) {
    return (reason as Error).message;
  }
  return 'it loaded';
};

describe('what loads', () => {
  test('the shipped example file loads unchanged', () => {
    const { config, warnings } = load(
      'brokerClusterName = DefaultCluster\nbrokerName = broker-a\nbrokerId = 0\ndeleteWhen = 04\n' +
        'fileReservedTime = 48\nbrokerRole = ASYNC_MASTER\nflushDiskType = ASYNC_FLUSH\n',
    );
    expect(config).toMatchObject({
      brokerName: 'broker-a',
      fileReservedTime: 48,
      deleteWhen: '04',
    });
    expect(warnings).toEqual([]);
  });

  test.each(['4.9.7', '5.5.0'])(
    'a configuration dump of Apache %s has no unknown key',
    (version) => {
      const found = fs
        .readdirSync('test/fixtures', { recursive: true, encoding: 'utf8' })
        .find((name) => name.endsWith(`broker-${version}.properties`));
      const { config } = loadBrokerConfig(path.join('test/fixtures', found ?? 'missing'));
      expect(config.brokerClusterName).toBe('C');
    },
  );

  test('a known key without effect is a warning by name, its default is not', () => {
    const { config, warnings } = load('transientStorePoolEnable=true\nforceRegister=true\n');
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatch(/broker\.conf:1: transientStorePoolEnable/);
    expect(config.echoed.get('transientStorePoolEnable')).toBe('true');
  });

  test('values that depend on others are filled in', () => {
    const { config } = load('storePathRootDir=/data/rmq\nbrokerIP1=10.0.0.1\n');
    expect(config.storePathCommitLog).toBe('/data/rmq/commitlog');
    expect(config.brokerIP2).toBe('10.0.0.1');
  });
});

describe('what is refused', () => {
  test('an unknown key, with its line and the nearest known one', () => {
    expect(problem('# head\nhaService.listenPort=10912\n')).toMatch(
      /broker\.conf:2: unknown key haService\.listenPort.*haListenPort/,
    );
  });

  test('a comment behind a value', () => {
    expect(problem('listenPort=10911 # main\n')).toMatch(
      /:1: listenPort: .*comment behind the value/,
    );
  });

  test('wrong numbers, booleans and enums, with what is allowed', () => {
    expect(problem('listenPort=abc\n')).toMatch(
      /listenPort: 'abc' is not a whole number from 0 to/,
    );
    expect(problem('fileReservedTime=-1\n')).toMatch(/fileReservedTime/);
    expect(problem('autoCreateTopicEnable=yes\n')).toMatch(/true or false/);
    expect(problem('flushDiskType=SYNC\n')).toMatch(/use ASYNC_FLUSH, SYNC_FLUSH/);
    expect(problem('messageDelayLevel=1s 5x\n')).toMatch(/:1: messageDelayLevel.*5x/);
  });

  test('a slave, and a port that leaves no VIP port', () => {
    expect(problem('brokerRole=SLAVE\n')).toMatch(/:1: brokerRole: SLAVE is not supported/);
    expect(problem('listenPort=2\n')).toMatch(/VIP/);
  });

  test('a file that is not there', () => {
    expect(() => loadBrokerConfig('/no/such/file')).toThrow(/cannot read the configuration/);
  });
});

test('every key has a sentence and a default inside its bounds', () => {
  for (const [key, row] of Object.entries(BROKER_KEYS)) {
    expect(row.meaning, key).not.toBe('');
    if (row.kind === 'int')
      expect(row.initial >= row.min && row.initial <= row.max, key).toBe(true);
    if (row.kind === 'enum') expect(row.allowed, key).toContain(row.initial);
  }
});
