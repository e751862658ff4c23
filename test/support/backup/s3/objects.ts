// What the strict S3 server stores and how it answers: objects, listings in pages of 1,000, uploads in
// parts. Conditions are judged at the moment of the write, in one synchronous step.
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

export interface Call {
  method: string;
  key: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

const PAGE = 1_000;
const PART_BYTES_MIN = 5 * 1024 * 1024;
const STAMP = 'Fri, 20 Nov 2026 03:00:00 GMT';

const answer = (body: Buffer | string = '', headers: Record<string, string> = {}): Answer => ({
  status: 200,
  headers,
  body: Buffer.from(body),
});
export const failure = (status: number, code: string): Answer => ({
  status,
  headers: { 'content-type': 'application/xml' },
  body: Buffer.from(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>m</Message></Error>`),
});
const xml = (body: string): Answer =>
  answer(`<?xml version="1.0" encoding="UTF-8"?>${body}`, { 'content-type': 'application/xml' });
const etagOf = (body: Buffer) => `"${createHash('md5').update(body).digest('hex')}"`;
const tag = (name: string, text: string, from = 0) =>
  new RegExp(`<${name}>([^<]*)</${name}>`, 'g').exec(text.slice(from))?.[1] ?? '';

interface Upload {
  key: string;
  parts: Map<number, Buffer>;
}

export class Objects {
  readonly stored = new Map<string, Buffer>();
  readonly uploads = new Map<string, Upload>();

  handle(call: Call): Answer {
    const { method, query, key } = call;
    if (query.has('uploads') && method === 'POST') return this.#begin(key);
    if (query.has('uploadId')) return this.#upload(call);
    if (query.has('delete') && method === 'POST') return this.#deleteAll(call.body.toString());
    if (method === 'PUT') return this.#put(call, call.body);
    if (key === '' && method === 'GET') return this.#list(query);
    const body = this.stored.get(key);
    if (!body)
      return method === 'HEAD'
        ? { ...failure(404, ''), body: Buffer.alloc(0) }
        : failure(404, 'NoSuchKey');
    return this.#get(call, body);
  }

  #put({ key, headers }: Call, body: Buffer): Answer {
    if (headers['if-none-match'] === '*' && this.stored.has(key)) {
      return failure(412, 'PreconditionFailed');
    }
    this.stored.set(key, Buffer.from(body));
    return answer('', { etag: etagOf(body) });
  }

  #get({ method, headers }: Call, body: Buffer): Answer {
    const facts = { etag: etagOf(body), 'last-modified': STAMP };
    const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '');
    if (range && Number(range[1]) >= body.length) return failure(416, 'InvalidRange');
    if (range) {
      const part = body.subarray(Number(range[1]), Number(range[2]) + 1);
      return { ...answer(part, facts), status: 206 };
    }
    return method === 'HEAD' ? answer(body, facts) : answer(body, facts);
  }

  #list(query: URLSearchParams): Answer {
    const after = query.get('continuation-token') ?? '';
    const all = [...this.stored.keys()]
      .filter((key) => key.startsWith(query.get('prefix') ?? '') && key > after)
      .sort();
    const page = all.slice(0, PAGE);
    const items = page.map((key) => {
      const size = this.stored.get(key)?.length ?? 0;
      const when = '2026-11-20T03:00:00.000Z';
      return `<Contents><Key>${key}</Key><LastModified>${when}</LastModified><Size>${size}</Size></Contents>`;
    });
    const isCut = page.length < all.length;
    const next = isCut ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
    const state = `<IsTruncated>${isCut}</IsTruncated>${next}`;
    return xml(`<ListBucketResult>${state}${items.join('')}</ListBucketResult>`);
  }

  #deleteAll(body: string): Answer {
    for (const [, key = ''] of body.matchAll(/<Key>([^<]*)<\/Key>/g)) this.stored.delete(key);
    return xml('<DeleteResult></DeleteResult>');
  }

  #begin(key: string): Answer {
    const id = randomBytes(8).toString('hex');
    this.uploads.set(id, { key, parts: new Map() });
    return xml(
      `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    );
  }

  #upload(call: Call): Answer {
    const { method, query, body } = call;
    const id = query.get('uploadId') ?? '';
    const upload = this.uploads.get(id);
    if (!upload || upload.key !== call.key) return failure(404, 'NoSuchUpload');
    if (method === 'PUT') {
      upload.parts.set(Number(query.get('partNumber')), Buffer.from(body));
      return answer('', { etag: etagOf(body) });
    }
    if (method === 'GET') return this.#listParts(upload);
    if (method === 'POST') return this.#complete(call, id, upload);
    this.uploads.delete(id);
    return { ...answer(), status: 204 };
  }

  #listParts({ parts }: Upload): Answer {
    const items = [...parts].map(
      ([number, body]) =>
        `<Part><PartNumber>${number}</PartNumber><ETag>${etagOf(body)}</ETag><Size>${body.length}</Size></Part>`,
    );
    return xml(
      `<ListPartsResult><IsTruncated>false</IsTruncated>${items.join('')}</ListPartsResult>`,
    );
  }

  /** Every part named must be there with its ETag, in order, and large enough unless it is the last. */
  #complete(call: Call, id: string, upload: Upload): Answer {
    const named = [...call.body.toString().matchAll(/<Part>(.*?)<\/Part>/gs)].map(
      ([, part = '']) => ({
        number: Number(tag('PartNumber', part)),
        etag: tag('ETag', part).replaceAll('&quot;', '"'),
      }),
    );
    const bodies = named.map(({ number }) => upload.parts.get(number));
    for (const [i, { etag, number }] of named.entries()) {
      const body = bodies[i];
      if (!body || etagOf(body) !== etag) return failure(400, 'InvalidPart');
      if (number <= (named[i - 1]?.number ?? 0)) return failure(400, 'InvalidPartOrder');
      if (body.length < PART_BYTES_MIN && i < named.length - 1)
        return failure(400, 'EntityTooSmall');
    }
    const made = this.#put(call, Buffer.concat(bodies as Buffer[]));
    if (made.status !== 200) return made;
    this.uploads.delete(id);
    return xml(
      `<CompleteMultipartUploadResult><Key>${call.key}</Key></CompleteMultipartUploadResult>`,
    );
  }
}
