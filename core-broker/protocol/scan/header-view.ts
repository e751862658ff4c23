// What a scanner leaves behind: positions of the fields of one request inside its chunk, and its fixed
// header numbers. One view per connection loop, reused for every frame; nothing in it is allocated per
// message. One field (message properties) may need un-escaping: its bytes then lie in `scratch`.

/** As much header as properties that a record can hold may take: six bytes each, and the rest. */
const SCRATCH_BYTES = 256 * 1024;
export const FIELDS_MAX = 24;

export class HeaderView {
  code = 0;
  version = 0;
  opaque = 0;
  isOneway = false;
  /** First byte of the header in the chunk. */
  headerStart = 0;
  bodyStart = 0;
  bodyLength = 0;
  /** Where the opaque stands in the chunk: digits (JSON) or four bytes. */
  opaqueStart = 0;
  opaqueLength = 0;
  /** Where the escaped field stands in the chunk, escapes and all; valid when isEscaped. */
  escapedStart = 0;
  escapedEnd = 0;
  /** Bit n set: field n is present. */
  present = 0;
  /** Position of each field in the chunk; the escaped field's is in `scratch` when isEscaped. */
  readonly starts = new Int32Array(FIELDS_MAX);
  readonly lengths = new Int32Array(FIELDS_MAX);
  readonly scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  isEscaped = false;
  /** First byte behind the brace of extFields in a JSON header; 0 = a binary header. */
  extStart = 0;
  /** A key of ACL signatures was seen: the generic path must check it. */
  hasCredentials = false;

  has(id: number): boolean {
    return (this.present & (1 << id)) !== 0;
  }

  reset(): void {
    this.version = 0;
    this.opaque = 0;
    this.isOneway = false;
    this.present = 0;
    this.isEscaped = false;
    this.extStart = 0;
    this.hasCredentials = false;
  }
}

/** What parseNumber and parseFlag return for anything that is not plainly a number or a boolean. */
export const NOT_A_NUMBER: number = Number.NaN;
const DIGITS_MAX = 15;

/** Decimal integer in bytes [start, start + length): optional minus, no leading zeros; else NaN. */
export function parseNumber(bytes: Buffer, start: number, length: number): number {
  // Nearly every number of a send is one digit.
  if (length === 1) return oneDigit(bytes[start]!);
  let at = start;
  const end = start + length;
  const negative = length > 1 && bytes[at] === 0x2d;
  if (negative) at++;
  const digits = end - at;
  if (digits === 0 || digits > DIGITS_MAX) return NOT_A_NUMBER;
  if (bytes[at] === 0x30 && (digits > 1 || negative)) return NOT_A_NUMBER;
  let value = 0;
  for (; at < end; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) return NOT_A_NUMBER;
    value = value * 10 + digit;
  }
  return negative ? -value : value;
}

function oneDigit(byte: number): number {
  return byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : NOT_A_NUMBER;
}

/** 1 for `true`, 0 for `false`, else NaN. */
export function parseFlag(bytes: Buffer, start: number, length: number): number {
  if (length === 4 && bytes.readUInt32BE(start) === 0x74727565) return 1;
  if (length === 5 && bytes.readUInt32BE(start) === 0x66616c73 && bytes[start + 4] === 0x65)
    return 0;
  return NOT_A_NUMBER;
}

const ACCESS_KEY = Buffer.from('AccessKey');
const SIGNATURE = Buffer.from('Signature');

/** Notes an unknown key when it belongs to an ACL signature. */
export function noteUnknownKey(
  view: HeaderView,
  bytes: Buffer,
  start: number,
  length: number,
): void {
  if (length !== ACCESS_KEY.length) return;
  if (bytes[start] !== 0x41 && bytes[start] !== 0x53) return;
  const end = start + length;
  if (ACCESS_KEY.compare(bytes, start, end) === 0 || SIGNATURE.compare(bytes, start, end) === 0) {
    view.hasCredentials = true;
  }
}
