// AK/SK signatures of RocketMQ ACL: base64 HMAC-SHA1 over the values of all header fields, sorted by
// name, and the body. The names and the request code are not signed, and there is neither time nor
// nonce: whoever can read a signed request can send it again. Only TLS keeps readers away.
// The key of the caller stands in AccessKey, the result in Signature.
// Invariant: a comparison takes the same time whatever is wrong; a secret never leaves its Secret.
// Source: AclClientRPCHook, AclUtils, PlainAccessValidator, behaviour only.
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../base/index.ts';
import type { RequestInit } from './command.ts';

export const AclField = {
  ACCESS_KEY: 'AccessKey',
  SIGNATURE: 'Signature',
  SECURITY_TOKEN: 'SecurityToken',
  /** Set by Java clients behind the signing hook, by some versions before it. */
  UNIQUE_KEY_QUERY: '_UNIQUE_KEY_QUERY',
} as const;

/** Who a process of ours is to other brokers. */
export interface AclCredentials {
  accessKey: string;
  secretKey: Secret;
}

/** A secret ready for signing. Why: making a key costs ten times as much as one signature. */
export const aclKey = (secret: string): KeyObject => createSecretKey(Buffer.from(secret, 'utf8'));

/** The signature of a request with these header fields. @param without a field left out besides Signature */
export function aclSignature(
  key: KeyObject,
  request: { ext: Readonly<Record<string, string>>; body: Uint8Array | undefined },
  without?: string,
): string {
  const { ext, body } = request;
  let text = '';
  for (const name of Object.keys(ext).sort()) {
    if (name !== AclField.SIGNATURE && name !== without) text += ext[name];
  }
  const mac = createHmac('sha1', key).update(text, 'utf8');
  if (body !== undefined) mac.update(body);
  return mac.digest('base64');
}

/** True when the request carries the signature of this key. */
export function hasAclSignature(
  key: KeyObject,
  request: { ext: Readonly<Record<string, string>>; body: Uint8Array | undefined },
): boolean {
  const given = request.ext[AclField.SIGNATURE];
  if (given === undefined) return false;
  if (isSame(aclSignature(key, request, AclField.UNIQUE_KEY_QUERY), given)) return true;
  const isQuery = request.ext[AclField.UNIQUE_KEY_QUERY] !== undefined;
  return isQuery && isSame(aclSignature(key, request), given);
}

/** Where a signature stands as text. */
export interface SignatureText {
  bytes: Buffer;
  start: number;
  length: number;
}

/** True when the text is the signature of this content by this key. */
export function isAclSignatureOf(
  key: KeyObject,
  content: Uint8Array,
  { bytes, start, length }: SignatureText,
): boolean {
  const expected = createHmac('sha1', key).update(content).digest('base64');
  if (length !== expected.length) return false;
  // Why over all of it: the time must not tell how much of a guess was right.
  let difference = 0;
  for (let i = 0; i < length; i++) difference |= expected.charCodeAt(i) ^ (bytes[start + i] ?? 0);
  return difference === 0;
}

function isSame(expected: string, given: string): boolean {
  const left = Buffer.from(expected, 'latin1');
  const right = Buffer.from(given, 'utf8');
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Signs requests of ours; the key is made once. */
export function aclSigner({
  accessKey,
  secretKey,
}: AclCredentials): (init: RequestInit) => RequestInit {
  const key = aclKey(secretKey.reveal());
  return (init) => {
    const ext: Record<string, string> = {};
    for (const [name, value] of Object.entries(init.ext ?? {})) {
      if (value !== undefined) ext[name] = String(value);
    }
    ext[AclField.ACCESS_KEY] = accessKey;
    const body = typeof init.body === 'string' ? Buffer.from(init.body) : init.body;
    ext[AclField.SIGNATURE] = aclSignature(key, { ext, body });
    return { ...init, ext };
  };
}
