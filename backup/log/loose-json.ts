// JSON as RocketMQ brokers write it: integer keys without quotes. Strict JSON passes unchanged.
import { DrError } from '../../core-broker/base/index.ts';

const UNQUOTED_KEY = /"(?:[^"\\]|\\.)*"|([{,]\s*)(-?\d+)(\s*:)/g;

/** @throws DrError CORRUPT naming `what` */
export function parseLooseJson(text: string, what: string): unknown {
  const strict = text.replace(
    UNQUOTED_KEY,
    (whole: string, before?: string, key?: string, after?: string) =>
      key === undefined ? whole : `${before}"${key}"${after}`,
  );
  try {
    return JSON.parse(strict);
  } catch (cause) {
    throw new DrError('CORRUPT', `${what}: not readable as JSON`, { cause });
  }
}
