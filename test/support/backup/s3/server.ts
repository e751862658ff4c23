// A strict S3 server in memory, for tests: one bucket, signatures checked, conditional writes enforced,
// checksums and MD5s compared, parts judged; and faults on demand, one rule at a time.
import { createHash, randomBytes } from 'node:crypto';
import * as http from 'node:http';
import type { AddressInfo } from 'node:net';
import { crc32 } from 'node:zlib';
import { type Answer, type Call, failure, Objects } from './objects.ts';
import { refuseSignature } from './signature.ts';

export type FaultKind =
  /** Answers this status and does nothing. */
  | { status: number; code: string }
  /** Does the work, then cuts the connection before the answer. */
  | 'reset-after'
  /** Cuts the connection and does nothing. */
  | 'reset'
  /** Announces the whole body and sends half of it. */
  | 'short-body'
  /** Flips a byte of what was stored. */
  | 'damaged-body'
  /** Answers with an ETag that is not of the bytes. */
  | 'lying-etag';

export interface Fault {
  method: string;
  /** Part of path and query. */
  at: string;
  kind: FaultKind;
  times: number;
}

export interface StrictS3 {
  endpoint: string;
  bucket: string;
  objects: Objects;
  /** Requests seen so far: `PUT /bucket/key?query`. */
  seen: string[];
  inject(fault: Fault): void;
  stop(): Promise<void>;
}

export const KEYS = { id: 'strict-key', secret: 'strict-secret' };

export async function startStrictS3(): Promise<StrictS3> {
  const objects = new Objects();
  const faults: Fault[] = [];
  const seen: string[] = [];
  const bucket = `bucket-${randomBytes(3).toString('hex')}`;
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (bytes: Buffer) => chunks.push(bytes));
    request.on('end', () => {
      seen.push(`${request.method} ${request.url}`);
      const fault = takeFault(faults, request);
      const body = Buffer.concat(chunks);
      const isBlind = fault === 'reset' || typeof fault === 'object';
      const answer = isBlind
        ? asFailure(fault)
        : (refuse(request, body, bucket) ?? objects.handle(callOf(request, body, bucket)));
      send(response, answer, fault);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    bucket,
    objects,
    seen,
    inject: (fault) => faults.push(fault),
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const asFailure = (fault: FaultKind): Answer =>
  typeof fault === 'object' ? failure(fault.status, fault.code) : failure(500, 'InternalError');

function takeFault(faults: Fault[], request: http.IncomingMessage): FaultKind | undefined {
  const found = faults.find(
    ({ method, at, times }) =>
      times > 0 && method === request.method && (request.url ?? '').includes(at),
  );
  if (found) found.times -= 1;
  return found?.kind;
}

function refuse(request: http.IncomingMessage, body: Buffer, bucket: string): Answer | undefined {
  const code = refuseSignature(request, body, KEYS);
  if (code) return failure(403, code);
  const [, named] = new URL(request.url ?? '/', 'http://host').pathname.split('/');
  if (named !== bucket) return failure(404, 'NoSuchBucket');
  const { headers } = request;
  const md5 = headers['content-md5'];
  if (md5 !== undefined && md5 !== createHash('md5').update(body).digest('base64')) {
    return failure(400, 'BadDigest');
  }
  const sum = headers['x-amz-checksum-crc32'];
  const own = Buffer.alloc(4);
  own.writeUInt32BE(crc32(body), 0);
  if (sum !== undefined && sum !== own.toString('base64')) return failure(400, 'BadDigest');
  // Trailing checksums come in chunks; over plain HTTP with a known length nobody sends them.
  if (headers['content-encoding']?.includes('aws-chunked')) return failure(501, 'NotImplemented');
  return undefined;
}

function callOf(request: http.IncomingMessage, body: Buffer, bucket: string): Call {
  const url = new URL(request.url ?? '/', 'http://host');
  return {
    method: request.method ?? 'GET',
    key: decodeURIComponent(url.pathname.slice(bucket.length + 2)),
    query: url.searchParams,
    headers: request.headers,
    body,
  };
}

function send(response: http.ServerResponse, answer: Answer, fault: FaultKind | undefined): void {
  if (fault === 'reset' || fault === 'reset-after') {
    response.socket?.resetAndDestroy();
    return;
  }
  const headers = { ...answer.headers, 'content-length': String(answer.body.length) };
  if (fault === 'lying-etag') Object.assign(headers, { etag: `"${'0'.repeat(32)}"` });
  let { body } = answer;
  if (fault === 'damaged-body') {
    body = Buffer.from(body);
    body[body.length >> 1] = (body[body.length >> 1] ?? 0) ^ 1;
  }
  response.writeHead(answer.status, headers);
  if (fault !== 'short-body') {
    response.end(body);
    return;
  }
  response.write(body.subarray(0, body.length >> 1), () => response.socket?.destroy());
}
