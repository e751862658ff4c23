// What the dispatcher finds with word loads against the slow way: entries split as text, hashes of
// strings, CRC of zlib; at every alignment.
import * as zlib from 'node:zlib';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { bodyCrcInView, javaHashCode } from '../../core-broker/protocol/index.ts';
import { DispatchProperties } from '../../core-broker/store/queue/digest/dispatch-properties.ts';
import { absoluteHash, indexKeys } from '../../core-broker/store/queue/digest/index-keys.ts';
import { RecordDigest } from '../../core-broker/store/queue/digest/record-digest.ts';
import { Topic } from '../../core-broker/store/queue/topic-table.ts';

const WANTED = ['TAGS', 'KEYS', 'UNIQ_KEY', 'DELAY'];
const AROUND = 7;

/** The text between other bytes that look like properties themselves. */
function placed(text: Buffer, shift: number): { bytes: Buffer; start: number } {
  const before = Buffer.from('TAGS\u0001'.repeat(AROUND)).subarray(0, shift);
  return {
    bytes: Buffer.concat([before, text, Buffer.from('\u0002TAGS\u0001x\u0002')]),
    start: shift,
  };
}

/** First \u0001 ends the name; the last entry of a name wins. */
function slowProperties(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of text.split('\u0002')) {
    const nameEnd = entry.indexOf('\u0001');
    if (nameEnd > 0) found.set(entry.slice(0, nameEnd), entry.slice(nameEnd + 1));
  }
  return found;
}

function fastProperties(bytes: Buffer, start: number, length: number): (string | undefined)[] {
  const found = new DispatchProperties();
  found.scan(bytes, start, length);
  const part = (from: number, to: number) =>
    from < 0 ? undefined : bytes.toString('latin1', from, to);
  return [
    part(found.tagsStart, found.tagsEnd),
    part(found.keysStart, found.keysEnd),
    part(found.uniqStart, found.uniqEnd),
    part(found.delayStart, found.delayEnd),
  ];
}

const piece = fc.oneof(
  fc.constantFrom(
    ...WANTED,
    '\u0001',
    '\u0002',
    '\u0003',
    '\u0000',
    '\u0082',
    'TAG',
    'UNIQ',
    'DELA',
  ),
  fc.string({ maxLength: 9 }),
);
const text = fc
  .array(piece, { maxLength: 24 })
  .map((parts) => Buffer.from(parts.join(''), 'latin1'));
const shift = fc.integer({ min: 0, max: AROUND });

test('the properties of dispatch are those of the text', () => {
  void fc.assert(
    fc.property(text, shift, (raw, by) => {
      const { bytes, start } = placed(raw, by);
      const slow = slowProperties(raw.toString('latin1'));
      const wanted = WANTED.map((name) => slow.get(name));
      expect(fastProperties(bytes, start, raw.length)).toEqual(wanted);
    }),
    { numRuns: 2000 },
  );
});

const key = fc.string({
  unit: fc.constantFrom('a', 'B', '7', ' ', 'é', '日', '😀'),
  maxLength: 40,
});

test('index keys are hashed as Java hashes the joined text', () => {
  void fc.assert(
    fc.property(key, key, shift, (uniq, keys, by) => {
      const raw = Buffer.from(`UNIQ_KEY\u0001${uniq}\u0002KEYS\u0001${keys}\u0002`);
      const { bytes, start } = placed(raw, by);
      const found = new DispatchProperties();
      found.scan(bytes, start, raw.length);
      const digest = new RecordDigest();
      indexKeys(bytes, 0, { prefix: new Topic('Orders', 0).keyHash, found, digest });
      const hashes = [...digest.keyHashes.subarray(0, digest.keyCount)];
      const wanted = [uniq, ...keys.split(' ')].filter((each) => each !== '');
      expect(hashes).toEqual(wanted.map((each) => absoluteHash(javaHashCode(`Orders#${each}`))));
    }),
  );
});

test('the CRC of a body through a view is that of zlib', () => {
  void fc.assert(
    fc.property(fc.uint8Array({ maxLength: 700 }), shift, (body, by) => {
      const bytes = Buffer.concat([Buffer.alloc(by, 0xff), body, Buffer.alloc(3, 0xff)]);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const crc = zlib.crc32(body) & 0x7fffffff;
      expect(bodyCrcInView(view, by, by + body.length)).toBe(crc);
    }),
  );
});
