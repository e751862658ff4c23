import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { decodeConsumerOffsets, decodeDelayOffsets } from '../../../core-broker/protocol/index.ts';
import { isIncluded, linkConfigSchema } from '../../../replicator/index.ts';
import { offsetDigest } from '../../../replicator/metadata/offset-digest.ts';

describe('metadata', () => {
  test('exclude wins over include, an empty include list means all', () => {
    expect(isIncluded({ include: [], exclude: [] }, 'orders')).toBe(true);
    expect(isIncluded({ include: ['orders*'], exclude: ['orders-test'] }, 'orders-eu')).toBe(true);
    expect(isIncluded({ include: ['orders*'], exclude: ['orders-test'] }, 'orders-test')).toBe(
      false,
    );
    expect(isIncluded({ include: ['orders'], exclude: [] }, 'orders-eu')).toBe(false);
  });

  test('the digest is over sorted lines, whatever the order of the tables', () => {
    const consumers = decodeConsumerOffsets('{"offsetTable":{"t@g":{1:4,0:3},"a@g":{0:1}}}');
    const delays = decodeDelayOffsets('{"offsetTable":{3:9,1:2}}');
    const lines = 'a@g@0=1\nt@g@0=3\nt@g@1=4\n1=2\n3=9\n';
    expect(offsetDigest(consumers, delays)).toBe(createHash('sha256').update(lines).digest('hex'));
  });

  test('the section link has a sentence for every key and refuses unknown ones', () => {
    for (const [key, schema] of Object.entries(linkConfigSchema.shape)) {
      expect(schema.description, key).toMatch(/[.]$/);
    }
    expect(linkConfigSchema.safeParse({ sampleMS: 100 }).success).toBe(false);
    expect(linkConfigSchema.parse({}).sampleMs).toBeLessThanOrEqual(200);
  });
});
