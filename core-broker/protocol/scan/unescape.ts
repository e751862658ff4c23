// Copies a JSON string into a buffer while undoing its escapes: one pass, no string made.
// \uXXXX becomes UTF-8; a surrogate that is not part of a pair is refused, because the generic decoder
// would replace it.

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const U = 0x75;

/** Escape letter -> byte; 0 = not a simple escape. */
const SIMPLE = new Uint8Array(256);
for (const [letter, byte] of [
  ['"', 0x22],
  ['\\', 0x5c],
  ['/', 0x2f],
  ['b', 8],
  ['f', 12],
  ['n', 10],
  ['r', 13],
  ['t', 9],
] as const) {
  SIMPLE[letter.charCodeAt(0)] = byte;
}

const HEX = new Int8Array(256).fill(-1);
for (let i = 0; i < 16; i++) {
  const digit = i.toString(16);
  HEX[digit.charCodeAt(0)] = i;
  HEX[digit.toUpperCase().charCodeAt(0)] = i;
}

/** Length of the last text, valid after unescapeInto() did not return -1. */
let textLength = 0;
export const unescapedLength = (): number => textLength;

/**
 * Un-escapes the string that starts at `start` (behind its quote) into `out`.
 * @returns position of the closing quote, or -1 when the text is malformed or does not fit
 */
export function unescapeInto(bytes: Buffer, start: number, end: number, out: Buffer): number {
  // Un-escaped text is never longer than its source: one check keeps every write inside `out`.
  if (end - start > out.length) return -1;
  let at = 0;
  let p = start;
  while (p < end) {
    let c = bytes[p]!;
    while (c !== BACKSLASH) {
      if (c === QUOTE) {
        textLength = at;
        return p;
      }
      if (c < 0x20 || ++p >= end) return -1;
      out[at++] = c;
      c = bytes[p]!;
    }
    const letter = p + 1 < end ? bytes[p + 1]! : 0;
    if (letter === U) {
      // The properties separators \u0001 and \u0002 are nearly all escapes there are.
      const unit = hex4(bytes, p + 2, end);
      p += 6;
      if (unit < 0) return -1;
      if (unit < 0x80) {
        out[at++] = unit;
        continue;
      }
      const low = isHigh(unit) ? lowSurrogate(bytes, p, end) : 0;
      if (low < 0 || (unit >= 0xdc00 && unit <= 0xdfff)) return -1;
      if (low > 0) p += 6;
      at = putCodePoint(out, at, low > 0 ? 0x10000 + ((unit - 0xd800) << 10) + low - 0xdc00 : unit);
      continue;
    }
    const byte = SIMPLE[letter]!;
    if (byte === 0) return -1;
    out[at++] = byte;
    p += 2;
  }
  return -1;
}

function hex4(bytes: Buffer, at: number, end: number): number {
  if (at + 4 > end) return -1;
  const a = HEX[bytes[at]!]!;
  const b = HEX[bytes[at + 1]!]!;
  const c = HEX[bytes[at + 2]!]!;
  const d = HEX[bytes[at + 3]!]!;
  // A negative digit makes the whole value negative.
  return (a | b | c | d) < 0 ? -1 : (a << 12) | (b << 8) | (c << 4) | d;
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function lowSurrogate(bytes: Buffer, at: number, end: number): number {
  if (at + 6 > end || bytes[at] !== BACKSLASH || bytes[at + 1] !== U) return -1;
  const unit = hex4(bytes, at + 2, end);
  return unit >= 0xdc00 && unit <= 0xdfff ? unit : -1;
}

function putCodePoint(out: Buffer, at: number, point: number): number {
  if (point < 0x800) {
    out[at] = 0xc0 | (point >> 6);
    out[at + 1] = 0x80 | (point & 63);
    return at + 2;
  }
  if (point < 0x10000) {
    out[at] = 0xe0 | (point >> 12);
    out[at + 1] = 0x80 | ((point >> 6) & 63);
    out[at + 2] = 0x80 | (point & 63);
    return at + 3;
  }
  out[at] = 0xf0 | (point >> 18);
  out[at + 1] = 0x80 | ((point >> 12) & 63);
  out[at + 2] = 0x80 | ((point >> 6) & 63);
  out[at + 3] = 0x80 | (point & 63);
  return at + 4;
}
