// Our own multipart driver: create -> journal the upload id -> parts -> complete with If-None-Match.
// Resume: parts that the server lists with the size and MD5 of the same slice are not sent again.
// Order: the upload id is durable locally before the first part leaves. After a 412 on complete the
// upload stays open on every server tried, so it is aborted. No checksum algorithm is named at create,
// hence none at complete (versitygw answers 400 InvalidPart otherwise): parts are checked by ETag.
import { createHash } from 'node:crypto';
import type { CompletedPart, S3Client } from '@aws-sdk/client-s3';
import { DrError } from '../../core-broker/base/index.ts';
import type { PutOptions, PutResult } from './port.ts';
import { isPrecondition, s3Error } from './s3-errors.ts';
import type { UploadEntry, UploadJournal } from './upload-journal.ts';

type Sdk = typeof import('@aws-sdk/client-s3');

export interface MultipartTarget {
  sdk: Sdk;
  client: S3Client;
  bucket: string;
  where: string;
  journal: UploadJournal;
  /** ≥ 5 MiB: the protocol's minimum for every part but the last. */
  partBytes: number;
  inFlight: number;
}

interface Upload {
  target: MultipartTarget;
  /** Full key, with the prefix of the repository. */
  key: string;
  body: Uint8Array;
}

/** Uploads `body` in parts, resuming a journaled upload of the same body. Durable on return. */
export async function putMultipart(upload: Upload, options: PutOptions): Promise<PutResult> {
  const { target, key } = upload;
  const entry = await resumeOrCreate(upload);
  try {
    const parts = await sendParts(upload, entry);
    await complete(upload, entry, { parts, options });
    target.journal.remove(target.where, key);
    return 'created';
  } catch (reason) {
    if (!isPrecondition(reason)) throw s3Error(target.where, reason);
    await abortUpload(target, entry);
    return 'exists';
  }
}

/** Ends an upload on the server and in the journal; an upload that is already gone is fine. */
export async function abortUpload(target: MultipartTarget, entry: UploadEntry): Promise<void> {
  const { sdk, client, bucket, journal } = target;
  try {
    await client.send(
      new sdk.AbortMultipartUploadCommand({
        Bucket: bucket,
        Key: entry.key,
        UploadId: entry.uploadId,
      }),
    );
  } catch (reason) {
    const failure = s3Error(target.where, reason);
    if (failure.code !== 'NOT_FOUND') throw failure;
  }
  journal.remove(entry.where, entry.key);
}

async function resumeOrCreate(upload: Upload): Promise<UploadEntry> {
  const { target, key, body } = upload;
  const bodySha256 = createHash('sha256').update(body).digest('hex');
  const known = target.journal.find(target.where, key);
  if (known?.bodySha256 === bodySha256 && known.partBytes === target.partBytes) return known;
  if (known) await abortUpload(target, known);
  const made = await target.client.send(
    new target.sdk.CreateMultipartUploadCommand({ Bucket: target.bucket, Key: key }),
  );
  if (!made.UploadId) throw new DrError('REMOTE', `${target.where}: no upload id for ${key}`);
  const entry: UploadEntry = {
    where: target.where,
    key,
    uploadId: made.UploadId,
    partBytes: target.partBytes,
    bodySha256,
    startedMs: Date.now(),
  };
  target.journal.save(entry);
  return entry;
}

async function sendParts(upload: Upload, entry: UploadEntry): Promise<CompletedPart[]> {
  const { target, body } = upload;
  const stored = await listParts(target, entry);
  const count = Math.max(1, Math.ceil(body.length / entry.partBytes));
  const parts: CompletedPart[] = new Array(count);
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const index = next++;
      const slice = body.subarray(index * entry.partBytes, (index + 1) * entry.partBytes);
      const known = stored.get(index + 1);
      const etag = matches(known, slice) ? known?.etag : await sendPart(upload, entry, index);
      parts[index] = { PartNumber: index + 1, ...(etag === undefined ? {} : { ETag: etag }) };
    }
  };
  const lanes = Array.from({ length: Math.min(target.inFlight, count) }, lane);
  const settled = await Promise.allSettled(lanes);
  // Why: all lanes have ended before the first error leaves, so nothing is still being sent.
  const failed = settled.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
  return parts;
}

async function sendPart(upload: Upload, entry: UploadEntry, index: number) {
  const { target, body } = upload;
  const slice = body.subarray(index * entry.partBytes, (index + 1) * entry.partBytes);
  const answer = await target.client.send(
    new target.sdk.UploadPartCommand({
      Bucket: target.bucket,
      Key: entry.key,
      UploadId: entry.uploadId,
      PartNumber: index + 1,
      Body: slice,
      ContentMD5: createHash('md5').update(slice).digest('base64'),
    }),
  );
  return answer.ETag;
}

interface StoredPart {
  sizeBytes: number;
  etag: string;
}

async function listParts(target: MultipartTarget, entry: UploadEntry) {
  const found = new Map<number, StoredPart>();
  let marker: string | undefined;
  do {
    const page = await target.client.send(
      new target.sdk.ListPartsCommand({
        Bucket: target.bucket,
        Key: entry.key,
        UploadId: entry.uploadId,
        ...(marker === undefined ? {} : { PartNumberMarker: marker }),
      }),
    );
    for (const part of page.Parts ?? []) {
      if (part.PartNumber === undefined || part.ETag === undefined) continue;
      found.set(part.PartNumber, { sizeBytes: part.Size ?? -1, etag: part.ETag });
    }
    marker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
  } while (marker !== undefined);
  return found;
}

/** Only a part whose size and MD5 ETag are those of the slice is trusted; others are sent again. */
function matches(part: StoredPart | undefined, slice: Uint8Array): boolean {
  if (part === undefined || part.sizeBytes !== slice.length) return false;
  return part.etag.replaceAll('"', '') === createHash('md5').update(slice).digest('hex');
}

async function complete(
  upload: Upload,
  entry: UploadEntry,
  what: { parts: CompletedPart[]; options: PutOptions },
): Promise<void> {
  const { target } = upload;
  await target.client.send(
    new target.sdk.CompleteMultipartUploadCommand({
      Bucket: target.bucket,
      Key: entry.key,
      UploadId: entry.uploadId,
      MultipartUpload: { Parts: what.parts },
      ...(what.options.ifAbsent ? { IfNoneMatch: '*' } : {}),
    }),
  );
}
