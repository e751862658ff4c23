// Generic codec of remoting frames: everything outside the hot path, and the reference the scanners
// are fuzzed against.
//   int32 length of the rest | byte header type (0 JSON, 1 binary) + int24 header length | header | body
// Readers take both header types on every frame; we always write JSON with string ext values, the only
// form every client reads (Go rejects numbers, ali-ons cannot read the binary header).
// Invariants: nothing outside [start, end) is read; a decoded body is a copy; codes above 32767 need JSON.
// Source: RemotingCommand, RocketMQSerializable.
import { DrError, LIMITS } from '../../base/index.ts';
import {
  FLAG_ONEWAY,
  FLAG_RESPONSE,
  type RemotingCommand,
  type RequestInit,
  type ResponseInit,
} from '../command.ts';
import { LANGUAGE_CODES, OUR_LANGUAGE, OUR_VERSION } from '../constants.ts';
import { decodeBinaryHeader, encodeBinaryHeader } from './binary-header.ts';
import { parseJsonTree } from './lenient-json.ts';

export type HeaderType = 'JSON' | 'ROCKETMQ';

export interface EncodeOptions {
  oneway?: boolean;
  /** Header codec; JSON unless a test or a load generator asks for the other. */
  header?: HeaderType;
  language?: string;
  version?: number;
}

const FRAME_PREFIX_BYTES = 8;
const TYPE_BINARY = 1;

/** One request frame. @param opaque int32 that the answer will carry */
export function encodeRequest(
  init: RequestInit,
  opaque: number,
  options: EncodeOptions = {},
): Buffer {
  const command: RemotingCommand = {
    code: init.code,
    language: options.language ?? OUR_LANGUAGE,
    version: options.version ?? OUR_VERSION,
    opaque,
    flag: options.oneway ? FLAG_ONEWAY : 0,
    remark: undefined,
    ext: stringValues(init.ext),
    body: undefined,
  };
  return frame(command, init.body, options.header ?? 'JSON');
}

/** One response frame; extFields is always present because Java reads it without a null check. */
export function encodeResponse(opaque: number, response: ResponseInit): Buffer {
  const command: RemotingCommand = {
    code: response.code,
    language: OUR_LANGUAGE,
    version: OUR_VERSION,
    opaque,
    flag: FLAG_RESPONSE,
    remark: response.remark,
    ext: stringValues(response.ext),
    body: undefined,
  };
  return frame(command, response.body, 'JSON');
}

/** Re-encodes a whole command, e.g. a client's answer that a broker relays. */
export function encodeCommand(command: RemotingCommand, header: HeaderType = 'JSON'): Buffer {
  return frame(command, command.body, header);
}

/** The answer to `request`, as a command. */
export function responseTo(request: RemotingCommand, response: ResponseInit): RemotingCommand {
  return {
    code: response.code,
    language: OUR_LANGUAGE,
    version: OUR_VERSION,
    opaque: request.opaque,
    flag: FLAG_RESPONSE,
    remark: response.remark,
    ext: stringValues(response.ext),
    body: bodyBytes(response.body),
  };
}

/**
 * Decodes the frame in [start, end), length word included. The body is copied.
 * @throws DrError PROTOCOL on anything that is not exactly one well-formed frame
 */
export function decodeCommand(chunk: Buffer, start: number, end: number): RemotingCommand {
  const size = end - start;
  if (size < FRAME_PREFIX_BYTES || chunk.readInt32BE(start) !== size - 4) {
    throw new DrError('PROTOCOL', 'frame length does not match');
  }
  const type = chunk[start + 4];
  const headerLength = chunk.readUIntBE(start + 5, 3);
  const headerStart = start + FRAME_PREFIX_BYTES;
  const headerEnd = headerStart + headerLength;
  if (headerEnd > end) throw new DrError('PROTOCOL', 'header is longer than its frame');
  if (headerLength > LIMITS.headerBytesMax) {
    throw new DrError('PROTOCOL', `header of ${headerLength} bytes is above the limit`);
  }
  const command =
    type === 0
      ? decodeJsonHeader(chunk, headerStart, headerEnd)
      : decodeTyped(type, chunk.subarray(headerStart, headerEnd));
  if (headerEnd < end) command.body = Buffer.from(chunk.subarray(headerEnd, end));
  return command;
}

function decodeTyped(type: number | undefined, header: Buffer): RemotingCommand {
  if (type === TYPE_BINARY) return decodeBinaryHeader(header);
  throw new DrError('PROTOCOL', `unknown header type ${type}`);
}

export const isResponse = (command: RemotingCommand): boolean =>
  (command.flag & FLAG_RESPONSE) !== 0;
export const isOneway = (command: RemotingCommand): boolean => (command.flag & FLAG_ONEWAY) !== 0;

function frame(
  command: RemotingCommand,
  content: Uint8Array | string | undefined,
  type: HeaderType,
): Buffer {
  const header = type === 'JSON' ? encodeJsonHeader(command) : encodeBinaryHeader(command);
  const body = bodyBytes(content);
  const size = FRAME_PREFIX_BYTES + header.length + (body?.length ?? 0);
  if (size > LIMITS.frameBytesMax) {
    throw new DrError('PROTOCOL', `frame of ${size} bytes is above ${LIMITS.frameBytesMax}`);
  }
  const out = Buffer.allocUnsafe(size);
  out.writeInt32BE(size - 4, 0);
  out.writeInt32BE(header.length, 4);
  if (type === 'ROCKETMQ') out[4] = TYPE_BINARY;
  out.set(header, FRAME_PREFIX_BYTES);
  if (body) out.set(body, FRAME_PREFIX_BYTES + header.length);
  return out;
}

function bodyBytes(content: Uint8Array | string | undefined): Buffer | undefined {
  if (content === undefined || content.length === 0) return undefined;
  if (typeof content === 'string') return Buffer.from(content);
  return Buffer.from(content.buffer, content.byteOffset, content.byteLength);
}

function stringValues(ext: RequestInit['ext']): Record<string, string> {
  const result: Record<string, string> = Object.create(null);
  if (ext === undefined) return result;
  for (const key of Object.keys(ext)) {
    const value = ext[key];
    if (value !== undefined) result[key] = String(value);
  }
  return result;
}

function encodeJsonHeader(command: RemotingCommand): Buffer {
  const { code, ext, flag, language, opaque, remark, version } = command;
  return Buffer.from(
    JSON.stringify({
      code,
      extFields: ext,
      flag,
      language: language in LANGUAGE_CODES ? language : 'OTHER',
      opaque,
      remark,
      serializeTypeCurrentRPC: 'JSON',
      version,
    }),
  );
}

function decodeJsonHeader(chunk: Buffer, start: number, end: number): RemotingCommand {
  const header = parseJsonTree(chunk.toString('utf8', start, end));
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw new DrError('PROTOCOL', 'JSON header is not an object');
  }
  const fields = header as Record<string, unknown>;
  return {
    code: int32(fields['code'], 'code'),
    language: typeof fields['language'] === 'string' ? fields['language'] : 'OTHER',
    version: int32(fields['version'] ?? 0, 'version'),
    opaque: int32(fields['opaque'] ?? 0, 'opaque'),
    flag: int32(fields['flag'] ?? 0, 'flag'),
    remark: fields['remark'] == null ? undefined : text(fields['remark']),
    ext: extFields(fields['extFields']),
    body: undefined,
  };
}

function extFields(value: unknown): Record<string, string> {
  const ext: Record<string, string> = Object.create(null);
  if (value === undefined || value === null) return ext;
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new DrError('PROTOCOL', 'extFields is not an object');
  }
  for (const [key, field] of Object.entries(value)) {
    if (field !== null) ext[key] = text(field);
  }
  return ext;
}

/** ali-ons sends numbers and booleans unquoted; nested values keep their JSON text. */
const text = (value: unknown): string =>
  typeof value === 'object' ? JSON.stringify(value) : String(value);

function int32(value: unknown, name: string): number {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  if (typeof number !== 'number' || (number | 0) !== number) {
    throw new DrError('PROTOCOL', `header field ${name} is not an int32`);
  }
  return number;
}
