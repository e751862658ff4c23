// The section `link` of dr.yaml: every key with unit, default, bounds and one sentence; unknown keys
// are errors. Where the source is comes from `regions`; only what differs from it stands here.
import { z } from 'zod';
import { parseHostPort } from '../core-broker/base/index.ts';

const ms = (min: number, max: number) => z.number().int().min(min).max(max);
const bytes = (min: number, max: number) => z.number().int().min(min).max(max);
const names = z.array(z.string().min(1).max(255)).max(10_000).default([]);

export const linkConfigSchema = z.strictObject({
  haAddress: z
    .string()
    .refine((text) => parseHostPort(text) !== undefined, 'host:port expected')
    .optional()
    .describe('HA port to copy from when it is not the one the source names, host:port.'),
  sampleMs: ms(20, 200)
    .default(150)
    .describe('Period of the status call that lag and the loss statement come from, ms.'),
  ackMs: ms(0, 5_000)
    .default(20)
    .describe('Shortest pause between two fsyncs whose end is acknowledged to the source, ms.'),
  reportMs: ms(100, 15_000)
    .default(5_000)
    .describe('An acknowledgement is repeated at least this often, ms.'),
  silenceMs: ms(1_000, 120_000)
    .default(20_000)
    .describe('A connection that brought no byte for this long is half-open and is replaced, ms.'),
  stallMs: ms(500, 60_000)
    .default(5_000)
    .describe('The same while the source is known to have more, ms.'),
  connectTimeoutMs: ms(100, 60_000).default(3_000).describe('Bound of connect and attach, ms.'),
  backOffFirstMs: ms(10, 10_000).default(50).describe('Pause before the first reconnect, ms.'),
  backOffMaxMs: ms(10, 60_000).default(1_000).describe('Longest pause before a reconnect, ms.'),
  bandwidthBytesPerSec: bytes(0, 1e12)
    .default(0)
    .describe('Cap of the copied bytes per second; 0 = no cap.'),
  pendingBytesMax: bytes(1_048_576, 1_073_741_824)
    .default(1024 * 1024 * 1024)
    .describe('Reading stops while more received bytes than this wait in the log to be checked.'),
  levelMs: ms(0, 60_000)
    .default(1_000)
    .describe('The state is "following" while the oldest missing message is younger, ms.'),
  metadataMs: ms(100, 600_000)
    .default(1_000)
    .describe('Period of the copy of topics, groups and offsets, ms.'),
  includeTopics: names.describe('Topics whose metadata follows; `x*` = prefix; empty = all.'),
  excludeTopics: names.describe('Topics whose metadata stays behind; wins over include.'),
  includeGroups: names.describe('Groups whose settings and offsets follow; empty = all.'),
  excludeGroups: names.describe(
    'Groups whose settings and offsets stay behind; wins over include.',
  ),
});

export type LinkConfig = z.output<typeof linkConfigSchema>;
