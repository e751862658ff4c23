// Who this process is to brokers and name servers with ACL or TLS: keys from a file in the form of
// Apache's tools.yml (accessKey, secretKey), or from the environment, and the tls.* keys of our calls.
// The first source that says something counts: dr.yaml, then the broker's or name server's own file, then
// the environment. Invariant: a secret goes from its file into a Secret and is never printed.
import * as path from 'node:path';
import { z } from 'zod';
import { DrError, readEnv, readPropertiesFile, Secret } from '../../core-broker/base/index.ts';
import { type BrokerConfig, brokerTls } from '../../core-broker/broker/index.ts';
import { type AclCredentials, aclSigner } from '../../core-broker/protocol/index.ts';
import {
  setProcessIdentity,
  TLS_KEYS,
  type TlsClientSettings,
  type TlsValues,
  tlsSettings,
} from '../../core-broker/remoting/index.ts';
import { type DrConfig, loadDrConfig } from './dr-config.ts';
import { loadYamlFile } from './yaml-file.ts';

const credentialsSchema = z.strictObject({
  accessKey: z.string().min(1),
  secretKey: z.union([z.string().min(1), z.number()]).transform(String),
});

/** What a server's own file says about its calls. */
export interface IdentityFiles {
  credentialsFile?: string | undefined;
  tls?: TlsClientSettings | undefined;
}

/** Who a broker is to others by its own file. */
export function brokerIdentity(config: BrokerConfig): IdentityFiles {
  const folder = path.dirname(path.resolve(config.path ?? '.'));
  const file = config.drCredentialsFile;
  return {
    credentialsFile: file === '' ? undefined : path.resolve(folder, file),
    tls: brokerTls(config).client,
  };
}

/** Reads a file like tools.yml. @throws DrError CONFIG without any of its values */
export function readCredentials(file: string): AclCredentials {
  const { accessKey, secretKey } = loadYamlFile(file, credentialsSchema);
  return { accessKey, secretKey: new Secret(secretKey) };
}

/** Loads dr.yaml and makes this process who that file says. @throws DrError CONFIG, AUTH */
export function openDrConfig(file: string): DrConfig {
  const config = loadDrConfig(file);
  becomeIdentity(config, {});
  return config;
}

/** Sets the identity of this process. @param own what the broker or name server file says */
export function becomeIdentity(dr: DrConfig | undefined, own: IdentityFiles): void {
  const drFile = dr?.credentialsFile && dr.resolve(dr.credentialsFile);
  const drTls = dr?.tlsFile && dr.resolve(dr.tlsFile);
  const envTls = readEnv('DR_TLS_FILE');
  const file = drFile || own.credentialsFile || readEnv('DR_CREDENTIALS_FILE');
  const credentials = credentialsOf(file);
  const tls = drTls ? tlsOf(drTls) : (own.tls ?? (envTls ? tlsOf(envTls) : undefined));
  setProcessIdentity({
    ...(credentials === undefined ? {} : { sign: aclSigner(credentials) }),
    ...(tls === undefined ? {} : { tls }),
  });
}

function credentialsOf(file: string | undefined): AclCredentials | undefined {
  if (file) return readCredentials(file);
  const accessKey = readEnv('DR_ACCESS_KEY');
  const secretKey = readEnv('DR_SECRET_KEY');
  if (accessKey === undefined && secretKey === undefined) return undefined;
  if (accessKey !== undefined && secretKey !== undefined) {
    return { accessKey, secretKey: new Secret(secretKey) };
  }
  throw new DrError('CONFIG', 'DR_ACCESS_KEY and DR_SECRET_KEY must be given together');
}

function tlsOf(file: string): TlsClientSettings | undefined {
  const values: TlsValues = {};
  for (const [key, { value }] of readPropertiesFile(file).entries) {
    if (Object.hasOwn(TLS_KEYS, key)) values[key as keyof TlsValues] = value;
  }
  return tlsSettings(values, path.dirname(path.resolve(file))).client;
}
