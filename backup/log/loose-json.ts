// JSON as RocketMQ brokers write it, read from files: strict, or the dialect of fastjson, which the protocol
// reads. What cannot be read is a damaged file here, not a wrong frame.
import { DrError } from '../../core-broker/base/index.ts';
import { parseJsonTree } from '../../core-broker/protocol/index.ts';

/** @throws DrError CORRUPT naming `what` */
export function parseLooseJson(text: string, what: string): unknown {
  try {
    return parseJsonTree(text);
  } catch (cause) {
    throw new DrError('CORRUPT', `${what}: not readable as JSON`, { cause });
  }
}
