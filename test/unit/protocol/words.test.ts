// Four bytes at a time must mean the same as one at a time.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  KnownProperties,
  RangeCopier,
  scanProperties,
  separatorAt,
  WordViews,
} from '../../../core-broker/protocol/index.ts';

const lowBytes = fc.uint8Array({ maxLength: 90, max: 5 });
const anyBytes = fc.oneof(lowBytes, fc.uint8Array({ maxLength: 300 }));

test('a separator is found where a byte loop finds it', () => {
  const views = new WordViews();
  fc.assert(
    fc.property(anyBytes, fc.nat(300), fc.nat(300), (values, a, b) => {
      const bytes = Buffer.from(values);
      const at = Math.min(a, b, bytes.length);
      const end = Math.min(Math.max(a, b), bytes.length);
      const wanted = bytes.subarray(at, end).findIndex((byte) => byte < 3);
      const found = separatorAt(bytes, views.of(bytes), at, end);
      expect(found).toBe(wanted < 0 ? end : at + wanted);
    }),
    { numRuns: 2_000 },
  );
});

test('a range is copied whole and nothing beside it', () => {
  const target = Buffer.alloc(1024);
  const copier = new RangeCopier(target);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), fc.nat(64), (values, cut, at) => {
      const source = Buffer.from(values);
      const start = Math.min(cut, source.length);
      target.fill(7);
      expect(copier.copy(at, source, start, source.length - start)).toBe(
        at + source.length - start,
      );
      const wanted = Buffer.alloc(1024, 7);
      source.copy(wanted, at, start);
      expect(target.equals(wanted)).toBe(true);
    }),
    { numRuns: 1_000 },
  );
});

test('what one text had is not seen in the next', () => {
  const found = new KnownProperties();
  const scan = (text: string) => {
    const bytes = Buffer.from(text);
    scanProperties(bytes, 0, bytes.length, found);
    return found.all.filter((range) => range.start >= 0).length;
  };
  expect(scan('KEYS\u0001a\u0002TAGS\u0001b\u0002KEYS\u0001c\u0002')).toBe(2);
  expect(scan('WAIT\u0001true')).toBe(1);
  expect(found.isTerminated).toBe(false);
  expect(scan('')).toBe(0);
});
