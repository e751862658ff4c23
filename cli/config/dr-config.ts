// The file `dr.yaml`: one per region, read by the daemon and by every operator verb.
// It names both regions, so that the same file content (except `region`) serves on both sides.
// Relative paths count from the folder of the file.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import { backupConfigSchema, jobsConfigSchema } from '../../backup/index.ts';
import { DrError, parseHostPort, Secret } from '../../core-broker/base/index.ts';
import { linkConfigSchema } from '../../replicator/index.ts';
import {
  controlStoreConfigSchema,
  flipsConfigSchema,
  switchoverConfigSchema,
} from '../../switchover/index.ts';
import { loadYamlFile } from './yaml-file.ts';

const name = z.string().regex(/^[%|a-zA-Z0-9_-]+$/, 'letters, digits, _ - % | only');
const address = z.string().refine((text) => parseHostPort(text), 'host:port expected');

const regionSchema = z.strictObject({
  nameservers: z.array(address).min(1).describe('Name servers of the region, host:port.'),
  brokers: z
    .record(name, address)
    .refine((brokers) => Object.keys(brokers).length === 1, 'exactly one broker per region')
    .describe('Broker name -> host:port of its master.'),
});

/** Every key of dr.yaml, with its meaning; sections belong to the rooms that use them. */
export const drConfigSchema = z.strictObject({
  region: name.describe('The region this process belongs to; a key of regions.'),
  regions: z
    .record(name, regionSchema)
    .refine((regions) => Object.keys(regions).length === 2, 'exactly two regions')
    .describe('Both regions and how to reach them.'),
  initialActive: name.describe('Region that writes when no store has a drEpoch file yet.'),
  secretFile: z.string().describe('File with the shared secret that signs control requests.'),
  credentialsFile: z
    .string()
    .optional()
    .describe('File like tools.yml (accessKey, secretKey): signs requests to brokers with ACL.'),
  tlsFile: z
    .string()
    .optional()
    .describe('File with tls.* keys of this process as a client; tls.enable=true turns TLS on.'),
  nameserver: z
    .strictObject({ config: z.string().describe('Apache .properties file of the name server.') })
    .optional()
    .describe('Name server run inside the daemon.'),
  broker: z
    .strictObject({ config: z.string().describe('Apache .properties file of the broker.') })
    .optional()
    .describe('Broker run inside the daemon.'),
  standbyGroups: z
    .array(z.string())
    .default([])
    .describe('Consumer groups that live at the standby: their offsets are their own.'),
  leaseMs: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe('Stop acknowledging when no peer answered for this long, ms; 0 = off.'),
  haAllow: z
    .array(z.string())
    .default([])
    .describe('Peer addresses that may read the HA port; empty = any.'),
  link: linkConfigSchema.prefault({}),
  switchover: switchoverConfigSchema.prefault({}),
  flips: flipsConfigSchema.prefault({}),
  controlStore: controlStoreConfigSchema.optional(),
  jobs: jobsConfigSchema.optional(),
  backup: backupConfigSchema.optional(),
  http: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      port: z.number().int().min(0).max(65535).default(9080).describe('0 = chosen by the system.'),
    })
    .prefault({})
    .describe('Health and metrics endpoint of the daemon.'),
});

export type DrConfigFile = z.output<typeof drConfigSchema>;

/** The file with everything resolved: absolute paths, the secret read. */
export interface DrConfig extends DrConfigFile {
  path: string;
  secret: Secret;
  /** Resolves a path of the file against the file's folder. */
  resolve(file: string): string;
}

/**
 * Loads dr.yaml.
 * @throws DrError CONFIG (file:line:column), AUTH when the secret file is missing or too short
 */
export function loadDrConfig(file: string): DrConfig {
  const parsed = loadYamlFile(file, drConfigSchema);
  const folder = path.dirname(path.resolve(file));
  const resolve = (name: string) => path.resolve(folder, name);
  for (const key of ['region', 'initialActive'] as const) {
    if (parsed.regions[parsed[key]]) continue;
    const known = Object.keys(parsed.regions).join(', ');
    throw new DrError('CONFIG', `${file}: ${key}: ${parsed[key]} is not one of: ${known}`);
  }
  return { ...parsed, path: file, resolve, secret: readSecret(resolve(parsed.secretFile)) };
}

/** Shortest secret accepted, in bytes. */
const SECRET_BYTES_MIN = 16;

/** Reads a secret file; surrounding white space is not part of it. */
export function readSecret(file: string): Secret {
  let text: string;
  try {
    text = fs.readFileSync(file, 'utf8').trim();
  } catch (cause) {
    throw new DrError('AUTH', `${file}: cannot read the secret`, {
      cause,
      hint: `Create it once and copy it to both regions: openssl rand -hex 32 > ${file}`,
    });
  }
  if (Buffer.byteLength(text) < SECRET_BYTES_MIN) {
    throw new DrError('AUTH', `${file}: the secret is shorter than ${SECRET_BYTES_MIN} bytes`);
  }
  return new Secret(text);
}
