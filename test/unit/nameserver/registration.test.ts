// Decoding of REGISTER_BROKER and the key-value and settings files.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { deflateSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadNameserverConfig } from '../../../core-broker/nameserver/index.ts';
import { KvConfig } from '../../../core-broker/nameserver/regional/kv-config.ts';
import { decodeRegistration } from '../../../core-broker/nameserver/regional/registration.ts';
import {
  settingsText,
  updateSettings,
} from '../../../core-broker/nameserver/regional/settings-file.ts';
import { bodyCrc, MqVersion, type RemotingCommand } from '../../../core-broker/protocol/index.ts';
import { registerRequest, registration, topic } from '../../support/registration.ts';

let folder: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-ns-'));
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

function command(changes: { ext?: Record<string, string>; body?: Buffer } = {}): RemotingCommand {
  const request = registerRequest(registration());
  const ext = Object.entries(request.ext ?? {}).filter(([, value]) => value !== undefined);
  return {
    code: 103,
    language: 'JAVA',
    version: MqVersion.V5_5_0,
    opaque: 1,
    flag: 0,
    remark: undefined,
    ext: { ...Object.fromEntries(ext.map(([k, v]) => [k, String(v)])), ...changes.ext },
    body: changes.body ?? Buffer.from(String(request.body)),
  };
}

function block(text: string): Buffer {
  const bytes = Buffer.from(text);
  const length = Buffer.alloc(4);
  length.writeInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
const int = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

describe('registration', () => {
  test('the plain body is read', () => {
    const decoded = decodeRegistration(command());
    expect(decoded).toMatchObject({ brokerName: 'broker-a', brokerId: 0, timeoutMs: 120_000 });
    expect([...decoded.topics.keys()]).toEqual(['orders', 'TBW102']);
    expect(decoded.topics.get('orders')).toEqual(topic('orders'));
  });

  test('the compressed body is read, with attributes and mappings', () => {
    const parts = [
      block('{"counter":3,"stateVersion":9,"timestamp":5}'),
      int(2),
      block('orders 8 4 6 SINGLE_TAG {"+a":"b"}'),
      block('old 1 1 4 SINGLE_TAG'),
      block('["fs:1"]'),
      int(1),
      block('{"topic":"static","totalQueues":2}'),
    ];
    const body = deflateSync(Buffer.concat(parts));
    const ext = { compressed: 'true', bodyCrc32: String(bodyCrc(body)) };
    const decoded = decodeRegistration(command({ body, ext }));
    expect(decoded.dataVersion).toEqual({ counter: 3, stateVersion: 9, timestamp: 5 });
    expect(decoded.topics.get('orders')).toMatchObject({ readQueueNums: 8, writeQueueNums: 4 });
    expect(decoded.topics.get('old')?.perm).toBe(4);
    expect(decoded.filterServers).toEqual(['fs:1']);
    expect(decoded.queueMappings.get('static')).toMatchObject({ totalQueues: 2 });
  });

  test('a wrong checksum, a lying length and a missing field are refused', () => {
    expect(() => decodeRegistration(command({ ext: { bodyCrc32: '7' } }))).toThrow(
      'crc32 not match',
    );
    const body = deflateSync(Buffer.concat([int(1_000_000), Buffer.from('{}')]));
    expect(() => decodeRegistration(command({ body, ext: { compressed: 'true' } }))).toThrow();
    expect(() => decodeRegistration(command({ ext: { brokerId: 'x' } }))).toThrow('brokerId');
    const request = command();
    delete request.ext['haServerAddr'];
    expect(() => decodeRegistration(request)).toThrow('haServerAddr');
  });
});

describe('key-value file', () => {
  test('what was put is there after a restart, in the shape of Apache', () => {
    const file = path.join(folder, 'deep', 'kv.json');
    KvConfig.open(file).put('ORDER_TOPIC_CONFIG', 'T', 'broker-a:8');
    expect(JSON.parse(fs.readFileSync(file, 'utf8'))).toEqual({
      configTable: { ORDER_TOPIC_CONFIG: { T: 'broker-a:8' } },
    });
    const again = KvConfig.open(file);
    expect(again.get('ORDER_TOPIC_CONFIG', 'T')).toBe('broker-a:8');
    again.delete('ORDER_TOPIC_CONFIG', 'T');
    expect(KvConfig.open(file).list('ORDER_TOPIC_CONFIG')).toEqual({});
    expect(KvConfig.open(file).list('none')).toBeUndefined();
  });

  test('a damaged file stops the start', () => {
    const file = path.join(folder, 'kv.json');
    fs.writeFileSync(file, '{"configTable":');
    expect(() => KvConfig.open(file)).toThrow(file);
  });
});

describe('settings', () => {
  const load = (text: string) => {
    const file = path.join(folder, 'ns.conf');
    fs.writeFileSync(file, text);
    return loadNameserverConfig(file);
  };

  test('the configuration dumps of Apache load', () => {
    for (const version of ['4.9.7', '5.5.0']) {
      const file = path.resolve(`test/fixtures/config/namesrv-${version}.properties`);
      const config = loadNameserverConfig(file);
      expect(config.settings.listenPort).toBeGreaterThan(0);
      // What stands at its default asks for nothing.
      expect(config.warnings).toEqual([expect.stringContaining('rocketmqHome is known but')]);
    }
  });

  test('a key without effect is warned about when it asks for something', () => {
    const { warnings, ignored } = load('serverWorkerThreads=8\nserverSelectorThreads=4\n');
    expect(warnings).toEqual([
      expect.stringContaining('ns.conf:2: serverSelectorThreads is known'),
    ]);
    expect([...ignored.keys()]).toEqual(['serverWorkerThreads', 'serverSelectorThreads']);
  });

  test('mistakes name file, line, key and the nearest key', () => {
    expect(() => load('listenPort=9876\nlistenprt=1\n')).toThrow(/ns\.conf:2: listenprt: unknown/);
    expect(() => load('listenPort=9876 # clients\n')).toThrow(/comment behind a value/);
    expect(() => load('orderMessageEnable=yes\n')).toThrow(/true or false/);
    expect(() => load('drRegions=east=h:1\n')).toThrow(/needs drMode/);
    expect(() => load('drMode=global\n')).toThrow(/drRegions: must be given/);
    expect(() => load('drMode=both\n')).toThrow(/global or dual/);
  });

  test('a global configuration is read whole', () => {
    fs.writeFileSync(path.join(folder, 'secret'), 's3cret\n');
    const config = load(
      [
        'drMode=global',
        'drRegions=east=h1:1;h2:2|west=h3:3',
        'drActiveRegion=east',
        'drStatePath=state',
        'drSecretFile=secret',
        'drGateways=broker-a=g:9',
      ].join('\n'),
    );
    expect(config.global?.regions.get('east')).toEqual(['h1:1', 'h2:2']);
    expect(config.global?.statePath).toBe(path.join(folder, 'state'));
    expect(config.global?.secret.reveal()).toBe('s3cret');
    expect(config.global?.gateways.get('broker-a')).toBe('g:9');
  });

  test('an update is applied, kept with its comments, and refused for forbidden keys', () => {
    const config = load(
      '# mine\nlistenPort=9876\norderMessageEnable=\\\n  false\nmetricsLabel=a\n',
    );
    const text = 'orderMessageEnable=true\nenableTopicList=false\nmetricsLabel=b\nnonsense=1\n';
    expect(updateSettings(config, text)).toEqual({ kind: 'done' });
    expect(config.settings.orderMessageEnable).toBe(true);
    expect(settingsText(config)).toContain('metricsLabel=b\n');
    const saved = fs.readFileSync(path.join(folder, 'ns.conf'), 'utf8');
    expect(saved).toContain('# mine\n');
    expect(saved).not.toContain('nonsense');
    const again = loadNameserverConfig(path.join(folder, 'ns.conf'));
    expect(again.settings).toMatchObject({ orderMessageEnable: true, enableTopicList: false });
    for (const line of ['kvConfigPath=/x\n', 'useTLS=false\n', 'tls.server.mode=disabled\n']) {
      expect(updateSettings(config, line), line).toEqual({ kind: 'forbidden' });
    }
    expect(updateSettings(config, 'waitSecondsForService=soon\n').kind).toBe('bad');
    expect(config.settings.waitSecondsForService).toBe(45);
  });
});
