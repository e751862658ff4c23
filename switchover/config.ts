// The sections `switchover`, `flips` and `controlStore` of dr.yaml: every key with unit, default,
// bounds and one sentence. Unknown keys are errors. Times bound what clients feel: sends are parked
// at most LIMITS.parkedMs, inside the 3 s a RocketMQ client waits for an answer.
import { z } from 'zod';
import { LIMITS } from '../core-broker/base/index.ts';

const address = z.string().regex(/^\[?[^\s,;]+\]?:\d{1,5}$/, 'host:port expected');
const ms = (min: number, max: number) => z.number().int().min(min).max(max);

export const switchoverConfigSchema = z.strictObject({
  maxLagMessages: z
    .number()
    .int()
    .min(0)
    .default(100_000)
    .describe('Pre-flight refuses a planned switch when the standby is further behind, messages.'),
  maxLagMs: ms(0, 86_400_000)
    .default(30_000)
    .describe('Pre-flight refuses when the oldest message missing at the standby is older, ms.'),
  catchUpTimeoutMs: ms(0, 3_600_000)
    .default(60_000)
    .describe('How long to wait, writes flowing, until the standby is nearly level, ms.'),
  fenceLagBytes: z
    .number()
    .int()
    .min(0)
    .default(4 * 1024 * 1024)
    .describe('The fence is raised when the standby is at most this far behind, bytes.'),
  maxWritePauseMs: ms(100, LIMITS.parkedMs)
    .default(2_000)
    .describe('Longest write pause of a planned switch; beyond it everything is undone, ms.'),
  drainTimeoutMs: ms(50, LIMITS.parkedMs)
    .default(1_500)
    .describe('Part of the write pause in which the standby must reach the sealed end, ms.'),
  callTimeoutMs: ms(50, 60_000).default(1_000).describe('Bound of one status or control call, ms.'),
  promoteTimeoutMs: ms(100, 600_000)
    .default(15_000)
    .describe('How long to ask whether a promotion happened before stopping in doubt, ms.'),
  failoverFenceMs: ms(0, 10_000)
    .default(1_000)
    .describe('How long a failover tries to fence the old side, ms.'),
  reverseLink: z
    .boolean()
    .default(true)
    .describe('After a planned switch the old side follows the new one.'),
  canary: z
    .boolean()
    .default(true)
    .describe('Send one message through each promoted broker as the proof that it takes writes.'),
  canaryTopic: z
    .string()
    .regex(/^[%|a-zA-Z0-9_-]{1,127}$/)
    .default('DR_CANARY')
    .describe('Topic of the canary; created on the promoted broker.'),
  leaseTtlMs: ms(1_000, 600_000)
    .default(10_000)
    .describe('A controller on another machine that stays silent this long has lost its lock, ms.'),
});
export type SwitchoverConfig = z.output<typeof switchoverConfigSchema>;

export const flipsConfigSchema = z.strictObject({
  globalNameservers: z
    .array(address)
    .default([])
    .describe('Global name servers to flip, host:port.'),
  gateways: z.array(address).default([]).describe('Gateways to flip, host:port.'),
});
export type FlipsConfig = z.output<typeof flipsConfigSchema>;

export const controlStoreConfigSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('sqlite'),
    path: z.string().min(1).describe('Database file; all controllers run on this machine.'),
  }),
  z.strictObject({
    kind: z.literal('redis'),
    url: z
      .string()
      .regex(/^rediss?:\/\//)
      .describe('redis:// or rediss:// with user and password.'),
    prefix: z.string().min(1).default('rocketmq-dr').describe('First part of every key.'),
  }),
]);
export type ControlStoreConfig = z.output<typeof controlStoreConfigSchema>;
