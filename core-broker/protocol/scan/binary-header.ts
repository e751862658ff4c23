// Byte scanner of binary headers: fixed fields, then the ext entries in place.
// Nothing needs un-escaping here. Duplicate keys and lengths that point outside answer false.
// Invariant: true means the generic decoder gives the same values.
import { FLAG_ONEWAY, FLAG_RESPONSE } from '../command.ts';
import { type HeaderView, noteUnknownKey } from './header-view.ts';
import type { FieldSet, TableOf } from './json-header.ts';

const FIXED_BYTES = 21;

function int32(bytes: Buffer, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

function int16(bytes: Buffer, at: number): number {
  return ((bytes[at]! << 24) >> 16) | bytes[at + 1]!;
}

/** Scans the binary header in [start, end) into `view`. */
export function scanBinaryHeader(
  bytes: Buffer,
  range: { start: number; end: number },
  view: HeaderView,
  tableOf: TableOf,
): boolean {
  const { start, end } = range;
  if (end - start < FIXED_BYTES) return false;
  view.code = int16(bytes, start);
  view.version = int16(bytes, start + 3);
  view.opaque = int32(bytes, start + 5);
  view.opaqueStart = start + 5;
  view.opaqueLength = 4;
  const flag = int32(bytes, start + 9);
  if ((flag & FLAG_RESPONSE) !== 0) return false;
  view.isOneway = (flag & FLAG_ONEWAY) !== 0;
  const fields = tableOf(view.code);
  const remarkLength = int32(bytes, start + 13);
  if (fields === undefined || remarkLength < 0 || remarkLength > end - start - FIXED_BYTES) {
    return false;
  }
  const extLengthAt = start + 17 + remarkLength;
  const extLength = int32(bytes, extLengthAt);
  const extStart = extLengthAt + 4;
  if (extLength < 0 || extLength > end - extStart) return false;
  return scanEntries(bytes, { start: extStart, end: extStart + extLength }, view, fields);
}

function scanEntries(
  bytes: Buffer,
  range: { start: number; end: number },
  view: HeaderView,
  fields: FieldSet,
): boolean {
  const end = range.end;
  let p = range.start;
  while (p < end) {
    if (p + 6 > end) return false;
    const keyLength = int16(bytes, p);
    const keyStart = p + 2;
    if (keyLength < 0 || keyLength > end - keyStart - 4) return false;
    const valueStart = keyStart + keyLength + 4;
    const valueLength = int32(bytes, valueStart - 4);
    if (valueLength < 0 || valueLength > end - valueStart) return false;
    p = valueStart + valueLength;
    const id = fields.table.find(bytes, keyStart, keyLength);
    if (id < 0) {
      noteUnknownKey(view, bytes, keyStart, keyLength);
      continue;
    }
    if ((view.present & (1 << id)) !== 0) return false;
    // A zero-length value means absent.
    if (valueLength === 0) continue;
    view.present |= 1 << id;
    view.starts[id] = valueStart;
    view.lengths[id] = valueLength;
  }
  return true;
}
