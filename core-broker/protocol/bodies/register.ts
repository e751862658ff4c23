// Body of REGISTER_BROKER (103): JSON, or compressed by an older broker.
//   zlib of: int len + DataVersion JSON | int topics, each int len + topic text | int len + filter servers
//            | from 5.0.0: int mappings, each int len + JSON
//   topic text: name readQueueNums writeQueueNums perm filterType [attributes JSON]
// Invariant: inflating is bounded; a lying length is PROTOCOL.
// Source: RegisterBrokerBody, TopicConfig.encode.
import * as zlib from 'node:zlib';
import { DrError, LIMITS } from '../../base/index.ts';
import { bodyCrc } from '../message/index.ts';
import { parseJson, parseJsonObject } from '../wire/index.ts';
import { numberOr, objectOr, textMap, textOr, texts } from './fields.ts';
import {
  encodeTopicConfigTable,
  newTopicConfig,
  readDataVersion,
  readTopicConfigTable,
  type TopicConfig,
  type TopicConfigTable,
} from './topic.ts';

export interface RegisterBrokerBody {
  filterServerList: string[];
  topicConfigSerializeWrapper: TopicConfigTable;
  /** Static topics (5.x) by name, as the broker sent them: name servers hand them on unread. */
  topicQueueMappings: Record<string, unknown>;
}

export const encodeRegisterBody = (table: TopicConfigTable): string =>
  `{"filterServerList":[],"topicConfigSerializeWrapper":${encodeTopicConfigTable(table)}}`;

/**
 * The compressed form. Why five words without attributes: a name server of 4.9 reads no sixth.
 * It has no place for topicSysFlag and order.
 */
export function encodeCompressedRegisterBody(table: TopicConfigTable): Buffer {
  const topics = Object.values(table.topicConfigTable);
  const parts = [
    ...sized(JSON.stringify(table.dataVersion)),
    int32(topics.length),
    ...topics.flatMap((topic) => sized(topicText(topic))),
    ...sized('[]'),
    int32(0),
  ];
  return zlib.deflateSync(Buffer.concat(parts), { level: zlib.constants.Z_BEST_COMPRESSION });
}

function int32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function sized(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  return [int32(bytes.length), bytes];
}

function topicText(topic: TopicConfig): string {
  const { topicName, readQueueNums, writeQueueNums, perm, topicFilterType, attributes } = topic;
  const words = [topicName, readQueueNums, writeQueueNums, perm, topicFilterType];
  if (Object.keys(attributes).length > 0) words.push(JSON.stringify(attributes));
  return words.join(' ');
}

export interface RegisterBodyHeader {
  compressed: boolean;
  /** 0 = do not check. */
  bodyCrc32: number;
}

/**
 * Reads the body of a registration; no body means an empty table (only liveness).
 * @throws DrError PROTOCOL malformed; CORRUPT when the checksum of the header does not match
 */
export function decodeRegisterBody(
  body: Buffer | undefined,
  header: RegisterBodyHeader,
): RegisterBrokerBody {
  if (body === undefined) return emptyBody();
  if (header.bodyCrc32 !== 0 && bodyCrc(body) !== header.bodyCrc32) {
    throw new DrError('CORRUPT', 'crc32 not match');
  }
  if (header.compressed) return decodeCompressed(body);
  const fields = parseJsonObject(body);
  const wrapper = objectOr(fields['topicConfigSerializeWrapper']);
  return {
    filterServerList: texts(fields['filterServerList']),
    topicConfigSerializeWrapper: readTopicConfigTable(wrapper),
    topicQueueMappings: objectOr(wrapper['topicQueueMappingInfoMap']),
  };
}

const emptyBody = (): RegisterBrokerBody => ({
  filterServerList: [],
  topicConfigSerializeWrapper: { dataVersion: readDataVersion({}), topicConfigTable: {} },
  topicQueueMappings: {},
});

function decodeCompressed(body: Buffer): RegisterBrokerBody {
  const reader = new LengthReader(inflate(body));
  const dataVersion = readDataVersion(parseJson(reader.text()));
  const topicConfigTable: Record<string, TopicConfig> = {};
  for (let left = reader.int32(); left > 0; left--) {
    const topic = parseTopicText(reader.text());
    topicConfigTable[topic.topicName] = topic;
  }
  const filterServerList = texts(parseJson(reader.text()));
  const topicQueueMappings: Record<string, unknown> = {};
  for (let left = reader.isAtEnd ? 0 : reader.int32(); left > 0; left--) {
    const mapping = parseJsonObject(reader.text());
    topicQueueMappings[textOr(mapping['topic'], '')] = mapping;
  }
  const topicConfigSerializeWrapper = { dataVersion, topicConfigTable };
  return { filterServerList, topicConfigSerializeWrapper, topicQueueMappings };
}

function inflate(body: Buffer): Buffer {
  try {
    return zlib.inflateSync(body, { maxOutputLength: LIMITS.frameBytesMax * 4 });
  } catch (cause) {
    throw new DrError('PROTOCOL', 'the compressed registration cannot be inflated', { cause });
  }
}

function parseTopicText(line: string): TopicConfig {
  const [name = '', read, write, perm, filterType, ...rest] = line.split(' ');
  const topic = newTopicConfig(name, numberOr(read, 0), numberOr(perm, 0));
  topic.writeQueueNums = numberOr(write, 0);
  if (filterType) topic.topicFilterType = filterType;
  if (rest.length > 0) topic.attributes = textMap(parseJson(rest.join(' ')));
  return topic;
}

class LengthReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  int32(): number {
    if (this.#at + 4 > this.#bytes.length) throw new DrError('PROTOCOL', 'registration is cut off');
    this.#at += 4;
    return this.#bytes.readInt32BE(this.#at - 4);
  }

  text(): string {
    const length = this.int32();
    if (length < 0 || length > this.#bytes.length - this.#at) {
      throw new DrError('PROTOCOL', 'registration is cut off');
    }
    this.#at += length;
    return this.#bytes.toString('utf8', this.#at - length, this.#at);
  }
}
