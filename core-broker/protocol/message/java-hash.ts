// java.lang.String.hashCode: tag codes of consume queues and subscriptions and key hashes of index
// files are made of it, so it is part of the protocol. h = 31 * h + UTF-16 unit, int32 wrap.

/** Hash of a string. */
export function javaHashCode(text: string): number {
  let h = 0;
  for (let i = 0; i < text.length; i++) h = (Math.imul(31, h) + text.charCodeAt(i)) | 0;
  return h;
}

/** The same hash over UTF-8 bytes [start, end), without making a string for ASCII. */
export function javaHashCodeOfBytes(bytes: Buffer, start: number, end: number): number {
  return continueJavaHash(0, { bytes, start, end });
}

/** Continues a hash over more bytes: `topic + "#" + key` without joining them. */
export function continueJavaHash(
  hash: number,
  part: { bytes: Buffer; start: number; end: number },
): number {
  const { bytes, start, end } = part;
  let h = hash;
  for (let i = start; i < end; i++) {
    const c = bytes[i]!;
    if (c > 0x7f) return continueWithText(h, bytes.toString('utf8', i, end));
    h = (Math.imul(31, h) + c) | 0;
  }
  return h;
}

function continueWithText(hash: number, text: string): number {
  let h = hash;
  for (let i = 0; i < text.length; i++) h = (Math.imul(31, h) + text.charCodeAt(i)) | 0;
  return h;
}

/** tagsCode of a message: 0 when it has no tag. */
export const tagsCode = (tag: string | undefined): number => (tag ? javaHashCode(tag) : 0);
