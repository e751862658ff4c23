// Byte scanner of JSON headers as clients really write them: compact, one level of extFields, `code`
// before extFields. Anything else (blanks, nesting, nulls, duplicate fields, escapes where none are
// expected) answers false and the generic decoder takes the frame.
// Invariant: true means the generic decoder gives the same values; property tests hold both together.
import { FLAG_ONEWAY, FLAG_RESPONSE } from '../command.ts';
import { FieldTable } from './field-table.ts';
import { type HeaderView, noteUnknownKey, parseFlag, parseNumber } from './header-view.ts';
import { unescapedLength, unescapeInto } from './unescape.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const OPEN = 0x7b;
const CLOSE = 0x7d;

/** Which table belongs to a request code; undefined = not a code of this scanner. */
export type TableOf = (code: number) => FieldSet | undefined;

export interface FieldSet {
  table: FieldTable;
  /** Field whose value may hold escapes (properties); -1 = none. */
  escapedField: number;
}

const TOP = new FieldTable([
  'code',
  'language',
  'version',
  'opaque',
  'flag',
  'remark',
  'extFields',
]);
const CODE = 0;
const VERSION = 2;
const OPAQUE = 3;
const FLAG = 4;
const EXT_FIELDS = 6;
const TOP_NEEDED = (1 << CODE) | (1 << OPAQUE) | (1 << FLAG) | (1 << EXT_FIELDS);

/**
 * Closing quote of the string whose first byte is at `at`, or -1: also when it holds an escape, which
 * may be malformed; only the generic decoder can tell.
 */
function plainEnd(bytes: Buffer, at: number, end: number): number {
  for (let p = at; p < end; p++) {
    const c = bytes[p]!;
    if (c === QUOTE) return p;
    if (c < 0x20 || c === BACKSLASH) return -1;
  }
  return -1;
}

/**
 * End of a bare literal, or -1. Only plain integers, true and false are taken: their text is what the
 * generic decoder turns them back into.
 */
function literalEnd(bytes: Buffer, at: number, end: number): number {
  let p = at;
  while (p < end) {
    const c = bytes[p]!;
    if (c === COMMA || c === CLOSE) break;
    p++;
  }
  return isLiteral(bytes, at, p) ? p : -1;
}

function isLiteral(bytes: Buffer, start: number, end: number): boolean {
  const length = end - start;
  if (!Number.isNaN(parseNumber(bytes, start, length))) return true;
  return !Number.isNaN(parseFlag(bytes, start, length));
}

/** The scan under way. Why module state: an object per field would cost more than the field. */
let view: HeaderView;
let fields: FieldSet | undefined;

/** Scans the JSON header in [start, end) into `target`. */
export function scanJsonHeader(
  bytes: Buffer,
  range: { start: number; end: number },
  target: HeaderView,
  tableOf: TableOf,
): boolean {
  const { start, end } = range;
  if (end - start < 2 || bytes[start] !== OPEN || bytes[end - 1] !== CLOSE) return false;
  view = target;
  fields = undefined;
  let p = start + 1;
  let seen = 0;
  while (p < end) {
    const keyEnd = keyEndAt(bytes, p, end);
    if (keyEnd < 0) return false;
    const id = TOP.find(bytes, p + 1, keyEnd - p - 1);
    if (id >= 0) {
      if ((seen & (1 << id)) !== 0) return false;
      seen |= 1 << id;
    }
    p = id === EXT_FIELDS ? scanExt(bytes, keyEnd + 2, end) : scanTop(bytes, keyEnd + 2, end, id);
    if (p < 0) return false;
    if (id === CODE) fields = tableOf(view.code);
    if (bytes[p] === CLOSE) break;
    if (bytes[p] !== COMMA) return false;
    p++;
  }
  return p === end - 1 && (seen & TOP_NEEDED) === TOP_NEEDED;
}

/** End of the plain key whose opening quote is at `at`, with a colon behind it; or -1. */
function keyEndAt(bytes: Buffer, at: number, end: number): number {
  if (bytes[at] !== QUOTE) return -1;
  const close = plainEnd(bytes, at + 1, end);
  return close >= 0 && bytes[close + 1] === COLON ? close : -1;
}

/** One value of the top level. @returns position behind it, or -1 */
function scanTop(bytes: Buffer, at: number, end: number, id: number): number {
  const isNumber = id === CODE || (id >= VERSION && id <= FLAG);
  if (bytes[at] === QUOTE) {
    if (isNumber) return -1;
    const close = plainEnd(bytes, at + 1, end);
    return close < 0 ? -1 : close + 1;
  }
  if (!isNumber) return literalEnd(bytes, at, end);
  const close = digitsEnd(bytes, at, end);
  const value = parseNumber(bytes, at, close - at);
  if (id === OPAQUE) {
    view.opaqueStart = at;
    view.opaqueLength = close - at;
  }
  return (value | 0) === value && setTop(id, value) ? close : -1;
}

/** First byte behind a run of digits and a leading minus. */
function digitsEnd(bytes: Buffer, at: number, end: number): number {
  let p = bytes[at] === MINUS ? at + 1 : at;
  while (p < end && bytes[p]! >= 0x30 && bytes[p]! <= 0x39) p++;
  return p;
}

function setTop(id: number, value: number): boolean {
  if (id === CODE) view.code = value;
  else if (id === VERSION) view.version = value;
  else if (id === OPAQUE) view.opaque = value;
  else view.isOneway = (value & FLAG_ONEWAY) !== 0;
  return id !== FLAG || (value & FLAG_RESPONSE) === 0;
}

/** The extFields object at `at`; needs the code before it. @returns position behind it, or -1 */
function scanExt(bytes: Buffer, at: number, end: number): number {
  if (fields === undefined || bytes[at] !== OPEN) return -1;
  const { table, escapedField } = fields;
  view.extStart = at + 1;
  let p = at + 1;
  while (p < end) {
    const keyEnd = keyEndAt(bytes, p, end);
    if (keyEnd < 0) return -1;
    const id = table.find(bytes, p + 1, keyEnd - p - 1);
    if (id < 0) noteUnknownKey(view, bytes, p + 1, keyEnd - p - 1);
    else if ((view.present & (1 << id)) !== 0) return -1;
    const valueStart = keyEnd + 2;
    if (bytes[valueStart] !== QUOTE) p = scanBare(bytes, valueStart, end, id);
    else if (id >= 0 && id === escapedField) p = scanEscapable(bytes, valueStart + 1, end, id);
    else p = scanText(bytes, valueStart + 1, end, id);
    if (p < 0) return -1;
    if (bytes[p] === CLOSE) return p + 1;
    if (bytes[p] !== COMMA) return -1;
    p++;
  }
  return -1;
}

function scanText(bytes: Buffer, start: number, end: number, id: number): number {
  const close = plainEnd(bytes, start, end);
  if (close < 0) return -1;
  setField(id, start, close - start);
  return close + 1;
}

/** The one value that normally holds escapes: copied and un-escaped in the same pass. */
function scanEscapable(bytes: Buffer, start: number, end: number, id: number): number {
  const close = unescapeInto(bytes, start, end, view.scratch);
  if (close < 0) return -1;
  view.isEscaped = true;
  view.escapedStart = start;
  view.escapedEnd = close;
  setField(id, 0, unescapedLength());
  return close + 1;
}

function scanBare(bytes: Buffer, start: number, end: number, id: number): number {
  const close = literalEnd(bytes, start, end);
  if (close >= 0) setField(id, start, close - start);
  return close;
}

function setField(id: number, start: number, length: number): void {
  if (id < 0) return;
  view.present |= 1 << id;
  view.starts[id] = start;
  view.lengths[id] = length;
}
