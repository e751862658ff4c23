// TLS settings under Apache's names: as keys of a broker's or name server's own file, and in the file
// that tls.config.file names (default /etc/rocketmq/tls.properties, when it exists), which wins as in
// Apache, except for tls.server.mode and tls.enable. Relative paths count from the folder of their file.
// Where Apache differs: its test mode is on unless switched off, and then a configured certificate is
// ignored in silence. Here a self-signed certificate serves only where none is configured, in permissive
// mode, or where tls.test.mode.enable=true asks for it. Source: TlsSystemConfig, TlsHelper, behaviour only.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { configError, readPropertiesFile, Secret } from '../../base/index.ts';

export interface TlsKeyText {
  meaning: string;
  /** What values look like; an empty value is always allowed and means the default. */
  form?: { pattern: RegExp; words: string };
}

const FLAG = { pattern: /^(true|false)?$/, words: 'true or false' };

/** Every key of TLS; the value of each is text, empty = default. */
export const TLS_KEYS = {
  'tls.server.mode': {
    meaning: 'TLS on the main and VIP port: permissive (default), enforcing or disabled',
    form: {
      pattern: /^(permissive|enforcing|disabled)?$/,
      words: 'permissive, enforcing, disabled',
    },
  },
  'tls.config.file': {
    meaning: 'file with the keys below; empty = /etc/rocketmq/tls.properties when it exists',
  },
  'tls.test.mode.enable': {
    meaning: 'true = self-signed certificate; empty = only when permissive and none is configured',
    form: FLAG,
  },
  'tls.server.keyPath': { meaning: 'private key of the server, PEM; watched for changes' },
  'tls.server.keyPassword': { meaning: 'password of that key' },
  'tls.server.certPath': { meaning: 'certificate chain of the server, PEM; watched for changes' },
  'tls.server.need.client.auth': {
    meaning: 'certificates of clients: none (default), optional or require',
    form: { pattern: /^(none|optional|require)?$/i, words: 'none, optional, require' },
  },
  'tls.server.authClient': {
    meaning: 'true = a certificate of a client must be signed by tls.server.trustCertPath',
    form: FLAG,
  },
  'tls.server.trustCertPath': { meaning: 'certificates that may sign those of clients, PEM' },
  'tls.enable': { meaning: 'true = this process calls other servers by TLS', form: FLAG },
  'tls.client.keyPath': { meaning: 'private key of this process as a client, PEM' },
  'tls.client.keyPassword': { meaning: 'password of that key' },
  'tls.client.certPath': { meaning: 'certificate chain of this process as a client, PEM' },
  'tls.client.authServer': {
    meaning: 'true = certificates of servers must be signed by tls.client.trustCertPath',
    form: FLAG,
  },
  'tls.client.trustCertPath': { meaning: 'certificates that may sign those of servers, PEM' },
} as const satisfies Record<string, TlsKeyText>;

export type TlsKey = keyof typeof TLS_KEYS;
export type TlsValues = Partial<Record<TlsKey, string>>;
export type TlsMode = 'permissive' | 'enforcing' | 'disabled';

/** Keys whose values nobody is shown. */
export const TLS_SECRET_KEYS: readonly string[] = [
  'tls.server.keyPassword',
  'tls.client.keyPassword',
];

/** A key pair on disk. */
export interface KeyFiles {
  keyPath: string;
  certPath: string;
  password: Secret | undefined;
}

export interface TlsServerSettings {
  mode: TlsMode;
  /** Undefined = a self-signed certificate when `isTest`, else no TLS. */
  files: KeyFiles | undefined;
  isTest: boolean;
  clientAuth: 'none' | 'optional' | 'require';
  /** Certificates of clients are checked, not only asked for. */
  isAuthClient: boolean;
  trustPath: string | undefined;
}

export interface TlsClientSettings {
  files: KeyFiles | undefined;
  isAuthServer: boolean;
  trustPath: string | undefined;
}

export interface TlsSettings {
  server: TlsServerSettings;
  /** Undefined = calls in plain text. */
  client: TlsClientSettings | undefined;
}

const DEFAULT_FILE = '/etc/rocketmq/tls.properties';
const NOT_FROM_FILE: readonly string[] = ['tls.server.mode', 'tls.enable', 'tls.config.file'];

/**
 * Compiles the values of a configuration file.
 * @param folder what relative paths count from
 * @throws DrError CONFIG for what cannot be meant, naming the key
 */
export function tlsSettings(values: TlsValues, folder: string): TlsSettings {
  const own = new Map<string, string>();
  for (const key of Object.keys(TLS_KEYS) as TlsKey[]) {
    const value = values[key] ?? '';
    own.set(key, key.endsWith('Path') && value !== '' ? path.resolve(folder, value) : value);
  }
  const file = own.get('tls.config.file') ?? '';
  if (file !== '') readInto(own, path.resolve(folder, file));
  else if (fs.existsSync(DEFAULT_FILE)) readInto(own, DEFAULT_FILE);
  const text = (key: TlsKey): string => own.get(key) ?? '';
  return { server: serverSettings(text), client: clientSettings(text) };
}

function readInto(own: Map<string, string>, file: string): void {
  const folder = path.dirname(file);
  for (const [key, { value, line }] of readPropertiesFile(file).entries) {
    const row: TlsKeyText | undefined = TLS_KEYS[key as TlsKey];
    if (row === undefined || NOT_FROM_FILE.includes(key)) continue;
    if (row.form?.pattern.test(value) === false) {
      throw configError({ path: file, line }, `${key}: use ${row.form.words}`);
    }
    own.set(key, key.endsWith('Path') && value !== '' ? path.resolve(folder, value) : value);
  }
}

type TextOf = (key: TlsKey) => string;

function serverSettings(text: TextOf): TlsServerSettings {
  const mode = (text('tls.server.mode') || 'permissive') as TlsMode;
  const files = keyFiles(text, 'tls.server');
  const test = text('tls.test.mode.enable');
  const isTest = test === 'true' || (test === '' && mode === 'permissive' && files === undefined);
  if (mode === 'enforcing' && files === undefined && !isTest) {
    throw bad('tls.server.mode', 'enforcing needs tls.server.keyPath and tls.server.certPath');
  }
  if (test === 'true' && files !== undefined) {
    throw bad(
      'tls.test.mode.enable',
      'a self-signed certificate and tls.server.certPath exclude each other',
    );
  }
  const clientAuth = (text('tls.server.need.client.auth') || 'none').toLowerCase();
  return {
    mode,
    files,
    isTest,
    clientAuth: clientAuth as TlsServerSettings['clientAuth'],
    isAuthClient: text('tls.server.authClient') === 'true',
    trustPath: text('tls.server.trustCertPath') || undefined,
  };
}

function clientSettings(text: TextOf): TlsClientSettings | undefined {
  if (text('tls.enable') !== 'true') return undefined;
  return {
    files: keyFiles(text, 'tls.client'),
    isAuthServer: text('tls.client.authServer') === 'true',
    trustPath: text('tls.client.trustCertPath') || undefined,
  };
}

function keyFiles(text: TextOf, side: 'tls.server' | 'tls.client'): KeyFiles | undefined {
  const keyPath = text(`${side}.keyPath`);
  const certPath = text(`${side}.certPath`);
  const password = text(`${side}.keyPassword`);
  if (keyPath === '' && certPath === '') return undefined;
  if (keyPath === '') throw bad(`${side}.keyPath`, 'a certificate needs its key');
  if (certPath === '') throw bad(`${side}.certPath`, 'a key needs its certificate');
  return { keyPath, certPath, password: password === '' ? undefined : new Secret(password) };
}

const bad = (key: TlsKey, problem: string) => configError({ path: key }, problem);
