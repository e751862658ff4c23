// Finds out which checksum mode a bucket understands, by write, read back and compare. Old stores answer
// 400/501 to the SDK's default trailing checksums, or store the aws-chunked framing as if it were data:
// only comparing the bytes shows the second.
import { randomBytes } from 'node:crypto';
import { DrError } from '../../core-broker/base/index.ts';
import { type ChecksumMode, openS3Store, type S3StoreOptions } from './s3-store.ts';

/**
 * @returns the first mode with which bytes come back unchanged
 * @throws DrError AUTH, UNREACHABLE, NETWORK as they are; VERIFY_FAILED when no mode works
 */
export async function probeChecksumMode(options: S3StoreOptions): Promise<ChecksumMode> {
  for (const checksumMode of ['WHEN_SUPPORTED', 'WHEN_REQUIRED'] as const) {
    if (await roundTrips({ ...options, checksumMode })) return checksumMode;
  }
  throw new DrError('VERIFY_FAILED', `s3://${options.bucket}: no checksum mode returns our bytes`);
}

async function roundTrips(options: S3StoreOptions): Promise<boolean> {
  const store = await openS3Store(options);
  const key = `probe/${randomBytes(8).toString('hex')}`;
  const body = randomBytes(70_000);
  try {
    await store.put(key, body, { ifAbsent: false });
    return (await store.get(key)).equals(body);
  } catch (reason) {
    // Only a refusal of the request itself says something about checksums.
    if (DrError.is(reason, 'REMOTE', 'CORRUPT')) return false;
    throw reason;
  } finally {
    await store.delete([key]).catch((reason: unknown) => {
      if (!DrError.is(reason, 'REMOTE', 'REFUSED')) throw reason;
    });
    store.close();
  }
}
