// Objects in an S3-compatible bucket, below an optional prefix.
// Conditional writes (If-None-Match: *) give create-if-absent; the SDK is imported on first use, because
// it alone costs 100 ms at start. Retries belong to the wrapper, so the SDK makes one attempt.
// Servers' differences: docs of versitygw and MinIO, tried; old stores need checksum mode WHEN_REQUIRED.
import * as fs from 'node:fs';
import type { S3Client } from '@aws-sdk/client-s3';
import { DrError, readEnv, Secret } from '../../core-broker/base/index.ts';
import {
  type ByteRange,
  checkKey,
  missingObject,
  type ObjectInfo,
  type ObjectStore,
  type PutOptions,
  type PutResult,
} from './port.ts';
import { isPrecondition, s3Error } from './s3-errors.ts';
import { abortUpload, type MultipartTarget, putMultipart } from './s3-multipart.ts';
import type { UploadJournal } from './upload-journal.ts';

export type ChecksumMode = 'WHEN_SUPPORTED' | 'WHEN_REQUIRED';

export interface S3StoreOptions {
  endpoint: string | undefined;
  bucket: string;
  prefix: string;
  region: string;
  /** File with two lines: access key, secret. Without it the AWS_* variables are read. */
  accessKeyFile: string | undefined;
  checksumMode: ChecksumMode;
  /** Objects above this go in parts of this size, ≥ 5 MiB. */
  partBytes: number;
  partsInFlight: number;
  journal: UploadJournal;
}

/** Opens a bucket; nothing is sent before the first operation. @throws DrError AUTH without keys */
export async function openS3Store(options: S3StoreOptions): Promise<ObjectStore> {
  const sdk = await import('@aws-sdk/client-s3');
  const keys = readAccessKeys(options.accessKeyFile);
  const client = new sdk.S3Client({
    region: options.region,
    forcePathStyle: true,
    maxAttempts: 1,
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    credentials: { accessKeyId: keys.id, secretAccessKey: keys.secret.reveal() },
    requestChecksumCalculation: options.checksumMode,
    // Why: what comes back is proven by the reader (ids, digests); the SDK's own check would hide
    // damaged objects behind an error without a name.
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  const host = options.endpoint === undefined ? '' : `${new URL(options.endpoint).host}/`;
  const where = `s3://${host}${options.bucket}/${options.prefix}`;
  const { bucket, journal, partBytes, partsInFlight: inFlight } = options;
  const target: MultipartTarget = { sdk, client, bucket, where, journal, partBytes, inFlight };
  return new S3Store(target, options.prefix);
}

class S3Store implements ObjectStore {
  readonly where: string;
  readonly #target: MultipartTarget;
  readonly #client: S3Client;
  readonly #prefix: string;

  constructor(target: MultipartTarget, prefix: string) {
    this.#target = target;
    this.#client = target.client;
    this.#prefix = prefix === '' ? '' : `${prefix.replace(/\/+$/, '')}/`;
    this.where = target.where;
  }

  async prepare(): Promise<void> {
    // The bucket belongs to the operator; prefixes need no making.
  }

  async put(key: string, body: Uint8Array, options: PutOptions): Promise<PutResult> {
    const { sdk } = this.#target;
    try {
      await this.#client.send(
        new sdk.PutObjectCommand({
          ...this.#at(key),
          Body: body,
          ContentLength: body.length,
          ...(options.ifAbsent ? { IfNoneMatch: '*' } : {}),
        }),
      );
      return 'created';
    } catch (reason) {
      if (options.ifAbsent && isPrecondition(reason)) return 'exists';
      throw s3Error(this.where, reason);
    }
  }

  async putLarge(key: string, body: Uint8Array, options: PutOptions): Promise<PutResult> {
    if (body.length <= this.#target.partBytes) return this.put(key, body, options);
    // Why: saves sending a large body that is there already; the condition on complete still decides.
    if (options.ifAbsent && (await this.head(key))) return 'exists';
    try {
      const upload = { target: this.#target, key: this.#full(key), body };
      return await putMultipart(upload, options);
    } catch (reason) {
      const failure = s3Error(this.where, reason);
      // The journaled upload expired on the server: forget it, the retry starts a new one.
      if (failure.code !== 'NOT_FOUND') throw failure;
      this.#target.journal.remove(this.where, this.#full(key));
      throw new DrError('BUSY', `${failure.message}: upload started again`, { cause: reason });
    }
  }

  async get(key: string, range?: ByteRange): Promise<Buffer> {
    const { sdk } = this.#target;
    try {
      const answer = await this.#client.send(
        new sdk.GetObjectCommand({
          ...this.#at(key),
          ...(range ? { Range: `bytes=${range.start}-${range.end - 1}` } : {}),
        }),
      );
      if (!answer.Body) throw new DrError('NETWORK', `${this.where}: ${key} came without a body`);
      const bytes = Buffer.from(await answer.Body.transformToByteArray());
      if (answer.ContentLength !== undefined && bytes.length !== answer.ContentLength) {
        throw new DrError('NETWORK', `${this.where}: ${key} was cut off`);
      }
      return bytes;
    } catch (reason) {
      throw this.#explain(reason, key);
    }
  }

  async head(key: string): Promise<ObjectInfo | undefined> {
    const { sdk } = this.#target;
    try {
      const answer = await this.#client.send(new sdk.HeadObjectCommand(this.#at(key)));
      const modifiedMs = answer.LastModified?.getTime() ?? 0;
      return { key, sizeBytes: answer.ContentLength ?? 0, modifiedMs };
    } catch (reason) {
      const failure = this.#explain(reason, key);
      if (failure.code === 'NOT_FOUND') return undefined;
      throw failure;
    }
  }

  async list(prefix: string): Promise<ObjectInfo[]> {
    const { sdk, bucket } = this.#target;
    const found: ObjectInfo[] = [];
    let token: string | undefined;
    do {
      const page = await this.#client
        .send(
          new sdk.ListObjectsV2Command({
            Bucket: bucket,
            Prefix: `${this.#prefix}${prefix}`,
            ...(token === undefined ? {} : { ContinuationToken: token }),
          }),
        )
        .catch((reason: unknown) => {
          throw s3Error(this.where, reason);
        });
      for (const item of page.Contents ?? []) {
        const key = (item.Key ?? '').slice(this.#prefix.length);
        const modifiedMs = item.LastModified?.getTime() ?? 0;
        found.push({ key, sizeBytes: item.Size ?? 0, modifiedMs });
      }
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async delete(keys: string[]): Promise<void> {
    const { sdk, bucket } = this.#target;
    for (let at = 0; at < keys.length; at += 1000) {
      const Objects = keys.slice(at, at + 1000).map((key) => ({ Key: this.#full(key) }));
      try {
        const answer = await this.#client.send(
          new sdk.DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } }),
        );
        const refused = answer.Errors?.find((error) => error.Code !== 'NoSuchKey');
        if (refused) throw locked(this.where, refused.Key, refused.Code);
      } catch (reason) {
        throw s3Error(this.where, reason);
      }
    }
  }

  async sweep(): Promise<void> {
    const mine = this.#target.journal.all().filter((entry) => entry.where === this.where);
    for (const entry of mine) await abortUpload(this.#target, entry);
  }

  close(): void {
    this.#client.destroy();
  }

  #full(key: string): string {
    return `${this.#prefix}${checkKey(key)}`;
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#target.bucket, Key: this.#full(key) };
  }

  #explain(reason: unknown, key: string): DrError {
    const failure = s3Error(this.where, reason);
    return failure.code === 'NOT_FOUND' ? missingObject(this.where, key) : failure;
  }
}

const locked = (where: string, key: string | undefined, code: string | undefined): DrError =>
  new DrError('REFUSED', `${where}: the server keeps ${key ?? 'an object'} (${code ?? 'locked'})`);

function readAccessKeys(file: string | undefined): { id: string; secret: Secret } {
  if (file === undefined) {
    const id = readEnv('AWS_ACCESS_KEY_ID');
    const secret = readEnv('AWS_SECRET_ACCESS_KEY');
    if (id && secret) return { id, secret: new Secret(secret) };
    throw new DrError('AUTH', 'no key for the object storage', {
      hint: 'set accessKeyFile (two lines: key, secret) or AWS_ACCESS_KEY_ID/SECRET_ACCESS_KEY',
    });
  }
  const [id, secret] = fs.readFileSync(file, 'utf8').split(/\r?\n/);
  if (id && secret) return { id: id.trim(), secret: new Secret(secret.trim()) };
  throw new DrError('AUTH', `${file}: two lines are needed, the access key and the secret`);
}
