// Which keys of a record go into the index: UNIQ_KEY, then every blank-separated part of KEYS.
// Key hash = abs(javaHash(topic + "#" + key)), 0 for the one value that has no absolute.
// Source: RocketMQ IndexService.buildIndex / IndexFile.indexKeyHashMethod, behaviour only.
import { continueJavaHash, SysFlag } from '../../../protocol/index.ts';
import type { PropertyMarks } from '../../door.ts';
import { viewOf } from '../../log/record-bytes.ts';
import type { RecordDigest } from './record-digest.ts';

const BLANK = 32;

export const absoluteHash = (hash: number): number => {
  const positive = Math.abs(hash);
  return positive > 0x7fffffff ? 0 : positive;
};

/**
 * Adds the hash of every key to the digest; no allocation per record.
 * @param prefix  Java hash of `topic#`
 */
export function indexKeys(
  buf: Buffer,
  sysFlag: number,
  keys: { prefix: number; found: PropertyMarks; digest: RecordDigest },
): void {
  const { found, digest, prefix } = keys;
  if ((sysFlag & SysFlag.TRANSACTION_ROLLBACK) === SysFlag.TRANSACTION_ROLLBACK) return;
  if (found.uniqStart >= 0) {
    const hash = keyHash(prefix, buf, found.uniqStart, found.uniqEnd);
    if (hash >= 0) digest.addKey(hash);
  }
  let start = found.keysStart;
  for (let at = start; start >= 0 && at <= found.keysEnd; at++) {
    if (at < found.keysEnd && buf[at] !== BLANK) continue;
    const hash = keyHash(prefix, buf, start, at);
    if (hash >= 0) digest.addKey(hash);
    start = at + 1;
  }
}

/** Hash of `topic#` + bytes [start, end), or -1 when there are none. Four bytes a step: h * 31^4 + .. */
function keyHash(prefix: number, buf: Buffer, start: number, end: number): number {
  if (end <= start) return -1;
  const words = viewOf(buf);
  let hash = prefix;
  let at = start;
  for (const fast = end - 3; at < fast; at += 4) {
    const word = words.getInt32(at);
    if ((word & 0x80808080) !== 0) break;
    const high = (word >>> 24) * 29_791 + ((word >>> 16) & 0x7f) * 961;
    const low = ((word >>> 8) & 0x7f) * 31 + (word & 0x7f);
    hash = (Math.imul(hash, 923_521) + high + low) | 0;
  }
  for (; at < end; at++) {
    const byte = buf[at]!;
    if (byte > 0x7f) return absoluteHash(continueJavaHash(hash, { bytes: buf, start: at, end }));
    hash = (Math.imul(31, hash) + byte) | 0;
  }
  return absoluteHash(hash);
}
