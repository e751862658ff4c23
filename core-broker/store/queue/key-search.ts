// Looks a key up: index candidates are hashes, so every record is read and its topic, keys and time are
// compared before it counts. Newest first, as Apache answers; a record that names a key twice comes twice.

import { commitLogOffset, DrError } from '../../base/index.ts';
import { continueJavaHash, Property, parseMessageProperties } from '../../protocol/index.ts';
import type { LookupKey, RecordRef } from '../door.ts';
import { RecordCursor } from '../log/record-bytes.ts';
import type { LogView } from '../read/log-view.ts';
import { absoluteHash } from './digest/index-keys.ts';
import type { IndexService } from './index-service.ts';

const RESULTS_MAX = 64;
/** Records compared between two turns of the loop. */
const BATCH = 32;

export async function findByKey(
  parts: { index: IndexService; view: LogView },
  wanted: LookupKey,
  limit: number,
): Promise<RecordRef[]> {
  const text = Buffer.from(`${wanted.topic}#${wanted.key}`);
  const hash = continueJavaHash(0, { bytes: text, start: 0, end: text.length });
  const found: RecordRef[] = [];
  const most = Math.min(limit, RESULTS_MAX);
  let looked = 0;
  for (const offset of parts.index.candidates(absoluteHash(hash), wanted.beginMs, wanted.endMs)) {
    if (found.length >= most) break;
    const ref = matching(parts.view, offset, wanted);
    if (ref !== undefined) found.push(ref);
    if (++looked % BATCH === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return found;
}

function matching(view: LogView, offset: number, wanted: LookupKey): RecordRef | undefined {
  const bytes = readIfKept(view, offset);
  if (bytes === undefined) return undefined;
  const cursor = new RecordCursor();
  cursor.read(bytes, 0, bytes.length, bytes.length);
  const end = cursor.topicStart + cursor.topicLength;
  if (bytes.toString('utf8', cursor.topicStart, end) !== wanted.topic) return undefined;
  const time = cursor.storeTimestampMs;
  if (time < wanted.beginMs || time > wanted.endMs) return undefined;
  const text = bytes.toString('utf8', cursor.propertiesStart);
  const properties = parseMessageProperties(text);
  const keys = (properties.get(Property.KEYS) ?? '').split(' ');
  const isKey = properties.get(Property.UNIQ_KEY) === wanted.key || keys.includes(wanted.key);
  if (!isKey) return undefined;
  return { physicalOffset: commitLogOffset(offset), sizeBytes: bytes.length };
}

/** Retention may have removed what the index still names; anything else is reported. */
function readIfKept(view: LogView, offset: number): Buffer | undefined {
  try {
    return view.record(offset);
  } catch (reason) {
    if (DrError.is(reason, 'NOT_FOUND')) return undefined;
    throw reason;
  }
}
