// Writes pieces of answers into a buffer, digit by digit; no string is made. Also cuts a sample of the
// codec into the pieces between its holes, so that a template is always the form the codec writes.
// Source: ours.

/** Short pieces only: a loop beats a call into the runtime. */
export function put(out: Buffer, at: number, bytes: Buffer): number {
  const length = bytes.length;
  for (let i = 0; i < length; i++) out[at + i] = bytes[i] as number;
  return at + length;
}

export function putInt32(out: Buffer, at: number, value: number): void {
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
}

/** Decimal digits of an integer; small ones without a division. */
export function putNumber(out: Buffer, at: number, value: number): number {
  if (value >= 0 && value < 10) {
    out[at] = 0x30 + value;
    return at + 1;
  }
  return (value | 0) === value && value >= 0 ? putInt(out, at, value) : putLong(out, at, value);
}

/** Non-negative int32: integer arithmetic only. */
function putInt(out: Buffer, at: number, value: number): number {
  let digits = 1;
  for (let bound = 10; digits < 10 && value >= bound; bound *= 10) digits++;
  let rest = value | 0;
  for (let i = at + digits - 1; i >= at; i--) {
    const next = (rest / 10) | 0;
    out[i] = 0x30 + (rest - next * 10);
    rest = next;
  }
  return at + digits;
}

function putLong(out: Buffer, at: number, value: number): number {
  let p = at;
  let rest = value;
  if (rest < 0) {
    out[p++] = 0x2d;
    rest = -rest;
  }
  let digits = 1;
  for (let bound = 10; rest >= bound; bound *= 10) digits++;
  for (let i = p + digits - 1; i >= p; i--) {
    const next = Math.floor(rest / 10);
    out[i] = 0x30 + (rest - next * 10);
    rest = next;
  }
  return p + digits;
}

/** Most digits that putNumber writes, and its sign. */
export const DIGITS_MAX = 17;

/** The pieces of `bytes` between marks, which stand in it in this order. */
export function cutAtMarks(bytes: Buffer, marks: readonly string[]): Buffer[] {
  const parts: Buffer[] = [];
  let from = 0;
  for (const mark of marks) {
    const at = bytes.indexOf(mark, from, 'latin1');
    if (at < 0) throw new Error(`the sample lacks ${mark}`);
    parts.push(bytes.subarray(from, at));
    from = at + mark.length;
  }
  parts.push(bytes.subarray(from));
  return parts;
}
