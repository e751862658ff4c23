// The port of a backup target: flat keys, whole immutable objects, create-if-absent.
// Invariant: an object that can be seen is whole; a crashed put leaves nothing that get or list shows.
// Invariant: no key is a folder of another key (`a` and `a/b` never both exist): some servers keep
// objects as files. Adapters: file-store.ts, s3-store.ts; wrappers: retrying.ts, throttled.ts.
import { DrError } from '../../core-broker/base/index.ts';

export interface PutOptions {
  /** Create only: an existing object is left alone and `exists` is answered. */
  ifAbsent: boolean;
}

/** `created`: this call wrote the object. `exists`: it was there before and was not touched. */
export type PutResult = 'created' | 'exists';

/** Half-open byte range [start, end). */
export interface ByteRange {
  start: number;
  end: number;
}

export interface ObjectInfo {
  key: string;
  sizeBytes: number;
  modifiedMs: number;
}

export interface ObjectStore {
  /** Where this is, for messages: a folder or an URL without secrets. */
  readonly where: string;
  /** Makes the place itself where there is none yet; no other call does. @throws DrError UNREACHABLE */
  prepare(): Promise<void>;
  /** Durable on return. @throws DrError DISK_FULL, UNREACHABLE, AUTH, NETWORK, TIMEOUT, BUSY */
  put(key: string, body: Uint8Array, options: PutOptions): Promise<PutResult>;
  /** As put, in parts for large bodies; resumes an upload a killed process left behind. */
  putLarge(key: string, body: Uint8Array, options: PutOptions): Promise<PutResult>;
  /** @throws DrError NOT_FOUND, UNREACHABLE, AUTH, NETWORK; CORRUPT when the range is beyond the end */
  get(key: string, range?: ByteRange): Promise<Buffer>;
  /** Undefined when there is no such object. */
  head(key: string): Promise<ObjectInfo | undefined>;
  /** Every object whose key starts with `prefix`, sorted by key. */
  list(prefix: string): Promise<ObjectInfo[]>;
  /** Deletes; a key that does not exist is no error. */
  delete(keys: string[]): Promise<void>;
  /** Drops what killed writers of this machine left half-done; for the end of a good backup. */
  sweep(): Promise<void>;
  close(): void;
}

const PART = /^[A-Za-z0-9_=@+-][A-Za-z0-9._=@+-]{0,199}$/;

/**
 * Refuses keys that some target cannot hold: empty or dot parts, over 200 bytes a part, odd bytes.
 * @throws DrError USAGE
 */
export function checkKey(key: string): string {
  if (key.length > 900 || !key.split('/').every((part) => PART.test(part))) {
    throw new DrError('USAGE', `not a key for an object: ${JSON.stringify(key)}`);
  }
  return key;
}

/** The error of a missing object, the same for every adapter. */
export const missingObject = (where: string, key: string): DrError =>
  new DrError('NOT_FOUND', `${where}: no object ${key}`, { context: { key } });
