// The manifest: what goes in comes out, and nothing else gets in. Clamping never raises an offset.
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clampConsumerOffsets, clampDelayOffsets } from '../../../backup/log/index.ts';
import {
  canonicalJson,
  decodeManifest,
  encodeManifest,
  type Manifest,
} from '../../../backup/manifest.ts';

const hex64 = fc.string({
  unit: fc.constantFrom(...'0123456789abcdef'),
  minLength: 64,
  maxLength: 64,
});
const segment = (rawBytes: number) =>
  hex64.map((id) => ({ id, rawBytes, storedBytes: Math.floor(rawBytes / 3) }));

const FILE = 65_536;
const manifests: fc.Arbitrary<Manifest> = fc
  .record({
    first: fc.nat({ max: 1000 }),
    files: fc.integer({ min: 0, max: 6 }),
    lastBytes: fc.integer({ min: 1, max: FILE }),
    metadata: fc.array(fc.constantFrom('config/topics.json', 'queues.json', 'config/a-b_c.json')),
    ids: fc.array(segment(FILE), { minLength: 6, maxLength: 6 }),
    key: fc.option(fc.constantFrom('0011223344556677'), { nil: null }),
    times: fc.tuple(fc.nat(), fc.nat(), fc.option(fc.nat(), { nil: null })),
  })
  .map(({ first, files, lastBytes, metadata, ids, key, times }) => {
    const min = first * FILE;
    const parts = Array.from({ length: files }, (_, i) => {
      const dataBytes = i === files - 1 ? lastBytes : FILE;
      return {
        name: String(min + i * FILE).padStart(20, '0'),
        startOffset: min + i * FILE,
        sizeBytes: FILE,
        dataBytes,
        mtimeMs: times[0],
        firstStoreTimestampMs: times[2],
        edgesSha256: ids[i]!.id,
        records: times[2],
        segments: [{ ...ids[i]!, rawBytes: dataBytes }],
      };
    });
    return {
      formatVersion: 1 as const,
      id: 'b-1',
      storeId: 'shop',
      startedMs: times[0],
      createdMs: times[1],
      prior: null,
      encryption: key === null ? null : { keyId: key },
      log: {
        min,
        max: files === 0 ? min : min + (files - 1) * FILE + lastBytes,
        fileSizeBytes: files === 0 ? 0 : FILE,
        lastStoreTimestampMs: times[2],
        gaps: [],
        damage: [],
      },
      files: parts,
      metadata: metadata.map((path) => ({ path, sizeBytes: 0, mtimeMs: 0, segments: [] })),
      clampedOffsets: 0,
    };
  });

describe('a manifest', () => {
  test('comes back as it was stored, in the same bytes', () => {
    void fc.assert(
      fc.property(manifests, (manifest) => {
        const bytes = encodeManifest(manifest, undefined);
        const back = decodeManifest(bytes, 'm', undefined);
        expect(back).toEqual(manifest);
        expect(encodeManifest(back, undefined).equals(bytes)).toBe(true);
      }),
    );
  });

  test('with any byte changed is refused', () => {
    void fc.assert(
      fc.property(manifests, fc.nat(), fc.integer({ min: 1, max: 255 }), (manifest, at, change) => {
        const bytes = encodeManifest(manifest, undefined);
        const place = at % bytes.length;
        bytes[place] = (bytes[place] ?? 0) ^ change;
        expect(() => decodeManifest(bytes, 'm', undefined)).toThrowError();
      }),
    );
  });

  const sound = fc.sample(
    manifests.filter((manifest) => manifest.files.length > 2),
    1,
  )[0] as Manifest;
  const [first, second, ...rest] = sound.files;
  test.each<[string, Partial<Manifest>]>([
    ['files out of order', { files: [second!, first!, ...rest] }],
    ['a file missing and no gap named', { files: [first!, ...rest] }],
    ['another end', { log: { ...sound.log, max: sound.log.max + 1 } }],
    ['segments that do not add up', { files: [{ ...first!, segments: [] }, second!, ...rest] }],
    ['a gap that is none', { log: { ...sound.log, gaps: [{ from: 1, to: 2 }] } }],
    ['damage in no file', { log: { ...sound.log, damage: [{ file: 'x', from: 1, to: 2 }] } }],
    [
      'a path upwards',
      { metadata: [{ path: 'config/../../x', sizeBytes: 0, mtimeMs: 0, segments: [] }] },
    ],
  ])('that contradicts itself is refused: %s', (_name, change) => {
    expect(() => encodeManifest({ ...sound, ...change }, undefined)).toThrowError();
  });

  test('in canonical JSON does not depend on the order of fields', () => {
    expect(canonicalJson({ b: 1, a: [{ d: null, c: 'x' }] })).toBe(
      '{"a":[{"c":"x","d":null}],"b":1}',
    );
  });
});

const offsets = fc.dictionary(
  fc.constantFrom('orders@billing', 'orders@mail', '%RETRY%billing@billing'),
  fc.dictionary(fc.constantFrom('0', '1', '2'), fc.nat()),
);

describe('clamping', () => {
  test('gives exactly the lower of offset and end, and touches nothing else', () => {
    void fc.assert(
      fc.property(offsets, fc.func(fc.nat()), (table, end) => {
        const max = (topic: string, queueId: number) => end(`${topic}${queueId}`) as number;
        const text = JSON.stringify({ dataVersion: { counter: 5 }, offsetTable: table });
        const { text: clamped, clamps } = clampConsumerOffsets(text, max);
        if (clamps.length === 0) expect(clamped).toBe(text);
        const back = JSON.parse(clamped);
        expect(back.dataVersion).toEqual({ counter: 5 });
        for (const [name, queues] of Object.entries(table)) {
          for (const [id, offset] of Object.entries(queues)) {
            const limit = max(name.slice(0, name.lastIndexOf('@')), Number(id));
            expect(back.offsetTable[name][id]).toBe(Math.min(offset, limit));
          }
        }
      }),
    );
  });

  test('reads integer keys without quotes, as brokers write them', () => {
    const text = '{"offsetTable":{"a@g":{0:7,1:9}},"x":"{0:1}"}';
    const { text: clamped } = clampConsumerOffsets(text, () => 8);
    expect(JSON.parse(clamped)).toEqual({ offsetTable: { 'a@g': { 0: 7, 1: 8 } }, x: '{0:1}' });
    const delayed = clampDelayOffsets('{"offsetTable":{3:9}}', (topic, queueId) =>
      topic === 'SCHEDULE_TOPIC_XXXX' && queueId === 2 ? 4 : 0,
    );
    expect(JSON.parse(delayed.text)).toEqual({ offsetTable: { 3: 4 } });
  });
});
