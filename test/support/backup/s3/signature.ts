// Checks the AWS signature (version 4) of a request, so that a wrong secret, a changed header or another
// body is refused as a strict server does. Source: the public description of AWS Signature Version 4.
import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

const sha256 = (bytes: string | Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const hmac = (key: string | Buffer, text: string) =>
  createHmac('sha256', key).update(text).digest();

const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8}\/[^/]+\/s3\/aws4_request), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/;

/** Undefined when the request is authentic; else the S3 error code. */
export function refuseSignature(
  request: IncomingMessage,
  body: Buffer,
  keys: { id: string; secret: string },
): string | undefined {
  const parts = AUTHORIZATION.exec(request.headers.authorization ?? '');
  if (!parts) return 'AccessDenied';
  const [, id = '', scope = '', names = '', signature] = parts;
  if (id !== keys.id) return 'InvalidAccessKeyId';
  const claimed = String(request.headers['x-amz-content-sha256']);
  if (claimed !== 'UNSIGNED-PAYLOAD' && claimed !== sha256(body))
    return 'XAmzContentSHA256Mismatch';
  const text = ['AWS4-HMAC-SHA256', request.headers['x-amz-date'], scope];
  text.push(sha256(canonicalRequest(request, names, claimed)));
  const [day = '', region = '', service = '', end = ''] = scope.split('/');
  const key = [day, region, service, end].reduce<string | Buffer>(hmac, `AWS4${keys.secret}`);
  const own = createHmac('sha256', key).update(text.join('\n')).digest('hex');
  return own === signature ? undefined : 'SignatureDoesNotMatch';
}

function canonicalRequest(request: IncomingMessage, names: string, payload: string): string {
  const url = new URL(request.url ?? '/', 'http://host');
  const query = [...url.searchParams]
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
  const headers = names
    .split(';')
    .map(
      (name) =>
        `${name}:${String(request.headers[name] ?? '')
          .trim()
          .replace(/\s+/g, ' ')}\n`,
    )
    .join('');
  return [request.method, url.pathname, query, headers, names, payload].join('\n');
}

const encode = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
