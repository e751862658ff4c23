// SHA-256 over consumer and delay offsets, as the sealed-tail token defines it. Pure.
//   sorted lines `topic@group@queue=offset\n`, then sorted lines `level=offset\n`
import { createHash } from 'node:crypto';
import type { ConsumerOffsetTable, DelayOffsetTable } from '../../core-broker/protocol/index.ts';

export function offsetDigest(consumers: ConsumerOffsetTable, delays: DelayOffsetTable): string {
  const hash = createHash('sha256');
  const lines = Object.entries(consumers.offsetTable).flatMap(([key, queues]) =>
    Object.entries(queues).map(([queue, offset]) => `${key}@${queue}=${offset}\n`),
  );
  for (const line of lines.sort()) hash.update(line);
  const levels = Object.entries(delays.offsetTable).map(([level, at]) => `${level}=${at}\n`);
  for (const line of levels.sort()) hash.update(line);
  return hash.digest('hex');
}
