// Properties as they are stored: what the client sent plus MSG_REGION, TRACE_ON, CLUSTER and, when it is
// missing, UNIQ_KEY. On the plain path the bytes are copied once and a prebuilt suffix is put behind;
// text that already has one of the broker's properties is rebuilt as a map, so that ours win.
import * as os from 'node:os';
import { LIMITS } from '../../base/index.ts';
import {
  formatMessageProperties,
  type KnownProperties,
  Property,
  RangeCopier,
  UniqKeyMaker,
} from '../../protocol/index.ts';
import type { PropertyMarks } from '../../store/index.ts';

const ROOM_BYTES = LIMITS.propertiesBytesMax + 1_024;
const SEPARATOR_BYTES = 1;

export interface StoredPropertiesOptions {
  regionId: string;
  isTraceOn: boolean;
  clusterName: string;
  storeHost: Buffer;
}

/** The result of build(): a range of `bytes`. Reused. */
export class StoredProperties {
  readonly bytes: Buffer = Buffer.allocUnsafeSlow(ROOM_BYTES);
  length = 0;
  /** UNIQ_KEY inside `bytes`. */
  uniqueStart = 0;
  uniqueLength = 0;
  /** Where the properties that dispatch looks for stand inside `bytes`. */
  readonly marks: PropertyMarks = {
    tagsStart: -1,
    tagsEnd: -1,
    keysStart: -1,
    keysEnd: -1,
    uniqStart: -1,
    uniqEnd: -1,
  };
  /** Advertised address in record form. */
  readonly storeHost: Buffer;
  #suffix: Buffer = Buffer.alloc(0);
  readonly #texts: RangeCopier = new RangeCopier(this.bytes);
  readonly #suffixes: RangeCopier = new RangeCopier(this.bytes);
  #own: readonly (readonly [string, string])[] = [];
  readonly #ids: UniqKeyMaker;
  /** What a UNIQ_KEY that is missing will take. */
  readonly #keyBytes: number;

  constructor(options: StoredPropertiesOptions) {
    this.storeHost = options.storeHost;
    this.restate(options);
    this.#ids = new UniqKeyMaker({
      ip: options.storeHost.subarray(0, options.storeHost.length - 4),
      pid: process.pid,
      salt: Math.floor(Math.random() * 2 ** 31) ^ os.totalmem(),
      nowMs: Date.now(),
    });
    const made = [[Property.UNIQ_KEY, this.#ids.make(Date.now())]] as const;
    this.#keyBytes = Buffer.byteLength(formatMessageProperties(made));
  }

  /** Other values of the broker's own properties, from the next message on. */
  restate(options: Omit<StoredPropertiesOptions, 'storeHost'>): void {
    this.#own = [
      [Property.MSG_REGION, options.regionId],
      [Property.TRACE_ON, String(options.isTraceOn)],
      [Property.CLUSTER, options.clusterName],
    ];
    this.#suffix = Buffer.from(formatMessageProperties(this.#own));
  }

  /** True when the suffix may simply be put behind. */
  isPlain(found: KnownProperties): boolean {
    return found.msgRegion.start < 0 && found.traceOn.start < 0 && found.cluster.start < 0;
  }

  /**
   * Copies [start, start + length) of `source` and adds what is missing.
   * @returns false when the result is larger than a record may hold
   */
  build(source: Buffer, start: number, length: number, found: KnownProperties): boolean {
    const added =
      (found.isTerminated ? 0 : SEPARATOR_BYTES) +
      (found.uniqKey.start < 0 ? this.#keyBytes : 0) +
      this.#suffix.length;
    if (length + added > LIMITS.propertiesBytesMax) return false;
    const { bytes } = this;
    let at = this.#texts.copy(0, source, start, length);
    if (!found.isTerminated) bytes[at++] = 2;
    if (found.uniqKey.start >= 0) {
      this.uniqueStart = found.uniqKey.start - start;
      this.uniqueLength = found.uniqKey.end - found.uniqKey.start;
    } else at = this.#addUnique(at);
    this.length = this.#suffixes.copy(at, this.#suffix, 0, this.#suffix.length);
    this.#mark(start, found);
    return true;
  }

  #mark(start: number, { tags, keys }: KnownProperties): void {
    const { marks } = this;
    marks.tagsStart = tags.start < 0 ? -1 : tags.start - start;
    marks.tagsEnd = tags.end - start;
    marks.keysStart = keys.start < 0 ? -1 : keys.start - start;
    marks.keysEnd = keys.end - start;
    marks.uniqStart = this.uniqueStart;
    marks.uniqEnd = this.uniqueStart + this.uniqueLength;
  }

  #addUnique(at: number): number {
    const { bytes } = this;
    const id = this.#ids.make(Date.now());
    let p = at + bytes.write(Property.UNIQ_KEY, at, 'latin1');
    bytes[p++] = 1;
    this.uniqueStart = p;
    this.uniqueLength = id.length;
    p += bytes.write(id, p, 'latin1');
    bytes[p++] = 2;
    return p;
  }

  /** The broker's own properties into a map; existing values of ours are replaced. */
  addTo(properties: Map<string, string>): Map<string, string> {
    for (const [key, value] of this.#own) properties.set(key, value);
    if (!properties.has(Property.UNIQ_KEY)) {
      properties.set(Property.UNIQ_KEY, this.#ids.make(Date.now()));
    }
    return properties;
  }
}
