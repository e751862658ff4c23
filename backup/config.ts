// The settings of backup and jobs: each declared once, with unit, default and bounds.
// From these come validation and the key table of the documentation.
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as os from 'node:os';
import { z } from 'zod';

const fileRepository = z.strictObject({
  kind: z.literal('file').describe('a folder: disk or network mount'),
  path: z.string().min(1).describe('folder of the repository; its parent must exist'),
});

const s3Repository = z.strictObject({
  kind: z.literal('s3').describe('an S3-compatible bucket with conditional writes'),
  endpoint: z.url().optional().describe('URL of the server; absent = AWS'),
  bucket: z.string().min(1).describe('name of the bucket; it must exist'),
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9._/-]*$/)
    .default('')
    .describe('key prefix below which the repository lives'),
  region: z.string().default('us-east-1').describe('region for the request signature'),
  accessKeyFile: z
    .string()
    .optional()
    .describe('file with two lines, access key and secret; absent = AWS_* variables'),
  checksumMode: z
    .enum(['WHEN_SUPPORTED', 'WHEN_REQUIRED'])
    .default('WHEN_SUPPORTED')
    .describe('WHEN_REQUIRED for old stores that answer 400 or 501 to checksums'),
  partBytes: z
    .int()
    .min(5 * 1024 * 1024)
    .max(1024 * 1024 * 1024)
    .default(8 * 1024 * 1024)
    .describe('size of one part of a large upload, bytes'),
  partsInFlight: z.int().min(1).max(16).default(3).describe('parts of one object sent at once'),
});

const keep = z.strictObject({
  last: z.int().min(0).default(7).describe('newest backups to keep'),
  daily: z.int().min(0).default(14).describe('newest good backup of each of so many days (UTC)'),
  withinHours: z.number().min(0).default(24).describe('keep everything younger, hours'),
});

const schedule = z.strictObject({
  plan: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,40}$/)
    .default('backup')
    .describe('name of the plan, part of each job id'),
  cron: z.string().describe('5 or 6 fields; day of month and day of week not both restricted'),
  timezone: z.string().default('UTC').describe('IANA zone the pattern is read in'),
  attempts: z.int().min(1).max(10).default(3).describe('tries of one run'),
  retryDelayMs: z.int().min(0).default(60_000).describe('pause before the next try, ms'),
});

/** Section `backup`. */
export const backupConfigSchema = z.strictObject({
  repository: z.discriminatedUnion('kind', [fileRepository, s3Repository]),
  storeId: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,80}$/)
    .optional()
    .describe('name of the store in the repository; absent = made of host and path'),
  configurationFiles: z.array(z.string()).default([]).describe('files kept beside the store’s'),
  compressionLevel: z.int().min(1).max(19).default(1).describe('zstd level'),
  workers: z
    .int()
    .min(0)
    .max(64)
    .default(0)
    .describe('threads that compress; 0 = one per core, at most 4'),
  bytesPerSecondMax: z.int().min(1024).optional().describe('bound of the traffic to the target'),
  putLatencyMsMax: z
    .number()
    .positive()
    .default(30)
    .describe('a scheduled run stands still while over 5 % of the sends take longer, ms'),
  encryptionKeyFile: z.string().optional().describe('32 bytes or 64 hex digits; absent = clear'),
  keep: keep.prefault({}),
  schedule: schedule.optional(),
  stateDir: z.string().optional().describe('journal of open uploads; default: in the temp folder'),
});

/** Section `jobs`. */
export const jobsConfigSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('sqlite'),
    file: z.string().min(1).describe('database file of the embedded queue'),
  }),
  z.strictObject({
    kind: z.literal('bullmq'),
    host: z.string().default('127.0.0.1'),
    port: z.int().min(1).max(65535).default(6379),
    prefix: z.string().default('dr').describe('key prefix in Redis'),
    passwordFile: z.string().optional(),
    tls: z.boolean().default(false),
  }),
]);

export type BackupConfig = z.infer<typeof backupConfigSchema>;
export type JobsConfig = z.infer<typeof jobsConfigSchema>;

/** Threads a configuration means on this machine. */
export const workersOf = (config: Pick<BackupConfig, 'workers'>): number =>
  config.workers > 0 ? config.workers : Math.min(4, os.availableParallelism());

/** Name of a store nobody named: the same for the same folder of the same machine. */
export function defaultStoreId(rootDir: string): string {
  const place = `${os.hostname()}:${fs.realpathSync(rootDir)}`;
  return `store-${createHash('sha256').update(place).digest('hex').slice(0, 16)}`;
}
