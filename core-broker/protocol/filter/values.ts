// Values of SQL92 expressions with the types of Java, and how two of them compare. Properties are always
// strings; a string beside a number is read as a number of that type; beside another string it is text
// for `=` and a double for `<`. What cannot be read as a number ends the evaluation: no match.
// Source: ComparisonExpression.__compare, Integer/Long/Double.valueOf, behaviour only.
import { DrError } from '../../base/index.ts';

export type NumberKind = 'int' | 'long' | 'double';

export interface JavaNumber {
  readonly kind: NumberKind;
  /** The value as a double; exact for int. */
  readonly double: number;
  /** The value of int and long. */
  readonly whole: bigint;
}

export type Value = null | boolean | string | JavaNumber;

/** Ends the evaluation of one message. One object: throwing it costs no stack trace. */
export const INCOMPARABLE = new DrError('USAGE', 'values that cannot be compared');

const INT_MIN = -(2n ** 31n);
const INT_MAX = 2n ** 31n - 1n;
const LONG_MIN = -(2n ** 63n);
const LONG_MAX = 2n ** 63n - 1n;
/** Significant digits of the longest long. */
const LONG_DIGITS = 19;

export function wholeNumber(whole: bigint): JavaNumber {
  const isInt = whole >= INT_MIN && whole <= INT_MAX;
  return { kind: isInt ? 'int' : 'long', double: Number(whole), whole };
}

export const doubleNumber = (double: number): JavaNumber => ({ kind: 'double', double, whole: 0n });

/** The type stays: minus the long 2147483648 is a long. */
export const negated = (number: JavaNumber): JavaNumber => ({
  kind: number.kind,
  double: -number.double,
  whole: -number.whole,
});

export const fitsLong = (whole: bigint): boolean => whole >= LONG_MIN && whole <= LONG_MAX;

/**
 * < 0, 0 or > 0 as Java compares the two; 0 exactly when they are equal.
 * @throws INCOMPARABLE
 */
export function compareValues(left: string | boolean | JavaNumber, right: typeof left): number {
  if (typeof left === 'string') return compareText(left, right);
  if (typeof left === 'boolean') {
    if (typeof right === 'boolean') return Number(left) - Number(right);
    if (typeof right === 'string') throw INCOMPARABLE;
    return -1;
  }
  if (typeof right === 'string') return compareNumbers(left, numberOf(right, left.kind));
  if (typeof right === 'boolean') return -1;
  return compareNumbers(left, right);
}

/** As `<` and its kin compare: two strings are doubles. @throws INCOMPARABLE */
export function compareOrder(left: string | JavaNumber, right: string | JavaNumber): number {
  if (typeof left === 'string' && typeof right === 'string') {
    return compareDoubles(doubleOf(left), doubleOf(right));
  }
  return compareValues(left, right);
}

function compareText(left: string, right: string | boolean | JavaNumber): number {
  if (typeof right === 'string') return left === right ? 0 : left < right ? -1 : 1;
  if (typeof right === 'boolean') return Number(left.toLowerCase() === 'true') - Number(right);
  return compareNumbers(numberOf(left, right.kind), right);
}

function compareNumbers(left: JavaNumber, right: JavaNumber): number {
  if (left.kind === 'double' || right.kind === 'double') {
    return compareDoubles(left.double, right.double);
  }
  return left.whole === right.whole ? 0 : left.whole < right.whole ? -1 : 1;
}

/** Double.compareTo: NaN is the largest and equal to itself, -0 lies below 0. */
function compareDoubles(left: number, right: number): number {
  if (left < right) return -1;
  if (left > right) return 1;
  if (Object.is(left, right)) return 0;
  if (Number.isNaN(left)) return 1;
  if (Number.isNaN(right)) return -1;
  return Object.is(left, -0) ? -1 : 1;
}

function numberOf(text: string, kind: NumberKind): JavaNumber {
  if (kind === 'double') return doubleNumber(doubleOf(text));
  const whole = wholeOf(text);
  if (kind === 'int' && (whole < INT_MIN || whole > INT_MAX)) throw INCOMPARABLE;
  if (!fitsLong(whole)) throw INCOMPARABLE;
  return { kind, double: Number(whole), whole };
}

/** Integer.valueOf and Long.valueOf: an optional sign and decimal digits of any script. */
function wholeOf(text: string): bigint {
  const isSigned = text[0] === '-' || text[0] === '+';
  let digits = '';
  for (let i = isSigned ? 1 : 0; i < text.length; i++) {
    const digit = digitAt(text, i);
    if (digit < 0) throw INCOMPARABLE;
    if (digit > 0 || digits !== '') digits += digit;
    if (digits.length > LONG_DIGITS) throw INCOMPARABLE;
  }
  if (text.length === (isSigned ? 1 : 0)) throw INCOMPARABLE;
  const whole = BigInt(digits === '' ? '0' : digits);
  return text[0] === '-' ? -whole : whole;
}

const DIGIT = /^\p{Nd}$/u;

/** Value of a decimal digit, or -1. Scripts keep their ten digits in a row that begins at 0 or 6. */
function digitAt(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code < 0x80) return code >= 0x30 && code <= 0x39 ? code - 0x30 : -1;
  if (!DIGIT.test(text[at]!)) return -1;
  const low = code & 0xf;
  const rowStart = code - low;
  return DIGIT.test(String.fromCharCode(rowStart)) ? low : low - 6;
}

// Linear patterns: the alternatives differ in their first characters.
const DOUBLE = /^[+-]?(?:NaN|Infinity|(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?[fFdD]?)$/;
const HEX_DOUBLE =
  /^([+-]?)0[xX](?:([0-9a-fA-F]+)(?:\.([0-9a-fA-F]*))?|\.([0-9a-fA-F]+))[pP]([+-]?\d+)[fFdD]?$/;

/** Double.valueOf: blanks around it, a type letter behind it and hexadecimal floats are allowed. */
function doubleOf(text: string): number {
  const trimmed = trimControls(text);
  if (DOUBLE.test(trimmed)) {
    const last = trimmed.at(-1)!;
    const isTyped = last === 'f' || last === 'F' || last === 'd' || last === 'D';
    return Number(isTyped ? trimmed.slice(0, -1) : trimmed);
  }
  const parts = HEX_DOUBLE.exec(trimmed);
  if (parts === null) throw INCOMPARABLE;
  const [, sign, whole = '', fraction = parts[4] ?? '', , exponent] = parts;
  const size = Number(BigInt(`0x${whole}${fraction}`));
  const scaled = size * 2 ** (Number(exponent) - 4 * fraction.length);
  return sign === '-' ? -scaled : scaled;
}

/** String.trim of Java: everything up to U+0020. */
function trimControls(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && text.charCodeAt(start) <= 0x20) start++;
  while (end > start && text.charCodeAt(end - 1) <= 0x20) end--;
  return text.slice(start, end);
}
