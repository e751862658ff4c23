// Body of SEND_BATCH_MESSAGE (320): concatenated inner records, no topic of their own.
//   totalSize 4 | magic 4 (0) | bodyCRC 4 (0) | flag 4 | bodyLength 4, body | propertiesLength 2, properties
// Invariant: the walk never leaves [start, end) and ends exactly at `end`.
// Source: MessageDecoder.encodeMessages, decodeMessages.
import { DrError } from '../../base/index.ts';

const FIXED_BYTES = 22;

/** One inner message as positions in the batch body. A reused object. */
export class BatchEntry {
  flag = 0;
  bodyStart = 0;
  bodyLength = 0;
  propertiesStart = 0;
  propertiesLength = 0;
  /** Where the next entry starts; equals the end after the last one. */
  next = 0;
}

/**
 * Reads the inner record at `at` into `entry`.
 * @returns false when it does not fit into [at, end): the whole request is then illegal
 */
export function readBatchEntry(bytes: Buffer, at: number, end: number, entry: BatchEntry): boolean {
  if (end - at < FIXED_BYTES) return false;
  const size = bytes.readInt32BE(at);
  const bodyLength = bytes.readInt32BE(at + 16);
  if (size < FIXED_BYTES || size > end - at || bodyLength < 0 || bodyLength > size - FIXED_BYTES) {
    return false;
  }
  const propertiesAt = at + 20 + bodyLength;
  const propertiesLength = bytes.readInt16BE(propertiesAt);
  if (propertiesLength < 0 || FIXED_BYTES + bodyLength + propertiesLength !== size) return false;
  entry.flag = bytes.readInt32BE(at + 12);
  entry.bodyStart = at + 20;
  entry.bodyLength = bodyLength;
  entry.propertiesStart = propertiesAt + 2;
  entry.propertiesLength = propertiesLength;
  entry.next = at + size;
  return true;
}

export interface BatchMessage {
  flag: number;
  body: Buffer;
  properties: string;
}

/** Encodes messages into one batch body. */
export function encodeBatch(messages: readonly BatchMessage[]): Buffer {
  const parts = messages.map((message) => {
    const properties = Buffer.from(message.properties);
    const size = FIXED_BYTES + message.body.length + properties.length;
    const out = Buffer.alloc(size);
    out.writeInt32BE(size, 0);
    out.writeInt32BE(message.flag, 12);
    out.writeInt32BE(message.body.length, 16);
    message.body.copy(out, 20);
    out.writeInt16BE(properties.length, 20 + message.body.length);
    properties.copy(out, 22 + message.body.length);
    return out;
  });
  return Buffer.concat(parts);
}

/** Decodes a whole batch body; bodies are views. @throws DrError PROTOCOL */
export function decodeBatch(body: Buffer): BatchMessage[] {
  const entry = new BatchEntry();
  const messages: BatchMessage[] = [];
  for (let at = 0; at < body.length; at = entry.next) {
    if (!readBatchEntry(body, at, body.length, entry)) {
      throw new DrError('PROTOCOL', 'batch body: a length is wrong', { context: { at } });
    }
    const { bodyStart, bodyLength, propertiesStart, propertiesLength, flag } = entry;
    messages.push({
      flag,
      body: body.subarray(bodyStart, bodyStart + bodyLength),
      properties: body.toString('utf8', propertiesStart, propertiesStart + propertiesLength),
    });
  }
  return messages;
}
