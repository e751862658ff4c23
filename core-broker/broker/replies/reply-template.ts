// The answer to a send, as bytes with holes: only queue id, message id, queue offset, transaction id and
// opaque differ between two answers. Numbers and hex are written digit by digit; no string is made.
//   frame length 4 | header length 4 | JSON: code 0, extFields, flag 1, language, opaque, version
// Invariant: the bytes are one strict JSON header with string ext values, the form every client reads.
import { encodeResponse, ResponseCode, writeHex, writeHex64 } from '../../protocol/index.ts';

const DIGITS_MAX = 16;

export interface ReplyTemplateOptions {
  regionId: string;
  isTraceOn: boolean;
  /** Advertised address and port in record form: first part of every message id. */
  storeHost: Buffer;
}

/** What differs between two replies. A reused object. */
export class ReplyFields {
  opaque = 0;
  queueId = 0;
  physicalOffset = 0;
  queueOffset = 0;
  /** UNIQ_KEY bytes. */
  unique: Buffer = Buffer.alloc(0);
  uniqueStart = 0;
  uniqueLength = 0;
}

export class ReplyTemplate {
  readonly #parts: Buffer[];
  readonly #fixedBytes: number;
  readonly #idPrefix: Buffer;

  constructor(options: ReplyTemplateOptions) {
    const hex = Buffer.alloc(options.storeHost.length * 2);
    writeHex(hex, 0, options.storeHost, { start: 0, end: options.storeHost.length });
    this.#idPrefix = hex;
    this.#parts = splitSample(options);
    this.#fixedBytes = this.#parts.reduce((sum, part) => sum + part.length, 0) + hex.length + 16;
  }

  /** Bytes encode() may write at most. */
  sizeMax(fields: ReplyFields): number {
    return this.#fixedBytes + 3 * DIGITS_MAX + fields.uniqueLength;
  }

  /** Encodes one reply at `at`. @returns the position behind it */
  encode(out: Buffer, at: number, fields: ReplyFields): number {
    const parts = this.#parts;
    let p = put(out, at, parts[0] as Buffer);
    p = putNumber(out, p, fields.queueId);
    p = put(out, p, parts[1] as Buffer);
    p = put(out, p, this.#idPrefix);
    p = writeHex64(out, p, fields.physicalOffset);
    p = put(out, p, parts[2] as Buffer);
    p = putNumber(out, p, fields.queueOffset);
    p = put(out, p, parts[3] as Buffer);
    p = putRange(out, p, fields);
    p = put(out, p, parts[4] as Buffer);
    p = putNumber(out, p, fields.opaque);
    p = put(out, p, parts[5] as Buffer);
    const size = p - at;
    out.writeInt32BE(size - 4, at);
    out.writeInt32BE(size - 8, at + 4);
    return p;
  }
}

/** A real reply with marks instead of values, cut at the marks: the form follows the codec. */
function splitSample(options: ReplyTemplateOptions): Buffer[] {
  const sample = encodeResponse(123_454_321, {
    code: ResponseCode.SUCCESS,
    ext: {
      MSG_REGION: options.regionId,
      TRACE_ON: options.isTraceOn,
      queueId: '@1@',
      msgId: '@2@',
      queueOffset: '@3@',
      transactionId: '@4@',
    },
  });
  const parts: Buffer[] = [];
  let from = 0;
  for (const mark of ['@1@', '@2@', '@3@', '@4@', '123454321']) {
    const at = sample.indexOf(mark, from, 'latin1');
    parts.push(sample.subarray(from, at));
    from = at + mark.length;
  }
  parts.push(sample.subarray(from));
  return parts;
}

function put(out: Buffer, at: number, bytes: Buffer): number {
  const length = bytes.length;
  if (length > 64) {
    bytes.copy(out, at);
    return at + length;
  }
  for (let i = 0; i < length; i++) out[at + i] = bytes[i] as number;
  return at + length;
}

function putRange(out: Buffer, at: number, fields: ReplyFields): number {
  const { unique, uniqueStart, uniqueLength } = fields;
  for (let i = 0; i < uniqueLength; i++) out[at + i] = unique[uniqueStart + i] as number;
  return at + uniqueLength;
}

/** Decimal digits of an integer. */
function putNumber(out: Buffer, at: number, value: number): number {
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
