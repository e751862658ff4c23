// The binary ("ROCKETMQ") header:
//   int16 code | int8 language | int16 version | int32 opaque | int32 flag
//   int32 remark length + bytes (0 = none)
//   int32 ext length + entries of: int16 key length, key, int32 value length, value
// Zero-length values mean "absent", as in Java. Codes above 32767 cannot be written.
// Source: RocketMQSerializable.
import { DrError } from '../../base/index.ts';
import type { RemotingCommand } from '../command.ts';
import { LANGUAGE_CODES, languageName } from '../constants.ts';

const FIXED_BYTES = 21;

/** Encodes the header of `command`. @throws DrError PROTOCOL when the code does not fit */
export function encodeBinaryHeader(command: RemotingCommand): Buffer {
  if (command.code > 0x7fff || command.code < -0x8000) {
    throw new DrError('PROTOCOL', `code ${command.code} needs a JSON header`);
  }
  const remark = Buffer.from(command.remark ?? '');
  const entries = Object.entries(command.ext)
    .filter(([key, value]) => key !== '' && value !== '')
    .map(([key, value]) => [Buffer.from(key), Buffer.from(value)] as const);
  const extLength = entries.reduce((sum, [key, value]) => sum + 6 + key.length + value.length, 0);
  const out = Buffer.allocUnsafe(FIXED_BYTES + remark.length + extLength);
  out.writeInt16BE(command.code, 0);
  out[2] = LANGUAGE_CODES[command.language] ?? LANGUAGE_CODES['OTHER'] ?? 7;
  out.writeInt16BE(command.version, 3);
  out.writeInt32BE(command.opaque, 5);
  out.writeInt32BE(command.flag, 9);
  out.writeInt32BE(remark.length, 13);
  let at = 17 + remark.copy(out, 17);
  at = out.writeInt32BE(extLength, at);
  for (const [key, value] of entries) {
    at = out.writeInt16BE(key.length, at);
    at += key.copy(out, at);
    at = out.writeInt32BE(value.length, at);
    at += value.copy(out, at);
  }
  return out;
}

/** Decodes a whole header. @throws DrError PROTOCOL when a length points outside */
export function decodeBinaryHeader(header: Buffer): RemotingCommand {
  if (header.length < FIXED_BYTES) throw lengthError('header');
  const remarkEnd = boundedEnd(header, 17, header.readInt32BE(13));
  if (remarkEnd + 4 > header.length) throw lengthError('ext');
  const extEnd = boundedEnd(header, remarkEnd + 4, header.readInt32BE(remarkEnd));
  return {
    code: header.readInt16BE(0),
    language: languageName(header.readUInt8(2)),
    version: header.readInt16BE(3),
    opaque: header.readInt32BE(5),
    flag: header.readInt32BE(9),
    remark: remarkEnd > 17 ? header.toString('utf8', 17, remarkEnd) : undefined,
    ext: decodeEntries(header.subarray(remarkEnd + 4, extEnd)),
    body: undefined,
  };
}

function decodeEntries(bytes: Buffer): Record<string, string> {
  const ext: Record<string, string> = Object.create(null);
  let at = 0;
  while (at < bytes.length) {
    if (at + 2 > bytes.length) throw lengthError('ext key');
    const keyEnd = boundedEnd(bytes, at + 2, bytes.readInt16BE(at));
    if (keyEnd + 4 > bytes.length) throw lengthError('ext value');
    const valueEnd = boundedEnd(bytes, keyEnd + 4, bytes.readInt32BE(keyEnd));
    if (valueEnd > keyEnd + 4) {
      ext[bytes.toString('utf8', at + 2, keyEnd)] = bytes.toString('utf8', keyEnd + 4, valueEnd);
    }
    at = valueEnd;
  }
  return ext;
}

function boundedEnd(bytes: Buffer, start: number, length: number): number {
  if (length < 0 || length > bytes.length - start) throw lengthError('field');
  return start + length;
}

const lengthError = (what: string): DrError =>
  new DrError('PROTOCOL', `binary header: length of ${what} is wrong`);
