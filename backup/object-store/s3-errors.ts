// What an S3 server's refusal means to us. By HTTP status and S3 error name, never by message text.
// Servers differ (wrong key: 403 or 404 XAdminUserNotFound; locked: 400 or 403), so both are accepted.
import { DrError, type ErrorCode } from '../../core-broker/base/index.ts';

interface SdkError {
  name?: string;
  Code?: string;
  code?: string;
  message?: string;
  $metadata?: { httpStatusCode?: number };
}

const BY_NAME: Record<string, ErrorCode> = {
  AccessDenied: 'AUTH',
  InvalidAccessKeyId: 'AUTH',
  SignatureDoesNotMatch: 'AUTH',
  XAdminUserNotFound: 'AUTH',
  NoSuchBucket: 'UNREACHABLE',
  NoSuchKey: 'NOT_FOUND',
  NotFound: 'NOT_FOUND',
  NoSuchUpload: 'NOT_FOUND',
  InvalidRange: 'CORRUPT',
  SlowDown: 'BUSY',
  ConditionalRequestConflict: 'BUSY',
  OperationAborted: 'BUSY',
  RequestTimeout: 'TIMEOUT',
  TimeoutError: 'TIMEOUT',
  QuotaExceeded: 'DISK_FULL',
  XMinioStorageFull: 'DISK_FULL',
  InsufficientStorage: 'DISK_FULL',
  ECONNREFUSED: 'NETWORK',
  ECONNRESET: 'NETWORK',
  EPIPE: 'NETWORK',
  ENOTFOUND: 'NETWORK',
  ETIMEDOUT: 'TIMEOUT',
};

/** True for 412: the object exists, or the condition did not hold. */
export const isPrecondition = (reason: unknown): boolean =>
  (reason as SdkError).$metadata?.httpStatusCode === 412 ||
  (reason as SdkError).name === 'PreconditionFailed';

/** Total: whatever the SDK threw becomes a DrError with the target in its text. */
export function s3Error(where: string, reason: unknown): DrError {
  if (reason instanceof DrError) return reason;
  const sdk = reason as SdkError;
  const name = sdk.name ?? '';
  const status = sdk.$metadata?.httpStatusCode;
  const code =
    BY_NAME[name] ?? BY_NAME[sdk.Code ?? ''] ?? BY_NAME[sdk.code ?? ''] ?? byStatus(status, name);
  const text = `${where}: ${name || 'error'}${status ? ` (${status})` : ''} ${sdk.message ?? ''}`;
  const never = code === 'UNREACHABLE' || code === 'DISK_FULL';
  return new DrError(code, text.trim(), {
    cause: reason,
    context: { status, name },
    ...(never ? { retry: 'never' } : {}),
  });
}

function byStatus(status: number | undefined, name: string): ErrorCode {
  if (status === undefined) return 'NETWORK';
  if (status === 401 || status === 403) return 'AUTH';
  if (status === 404) return 'NOT_FOUND';
  if (status === 507) return 'DISK_FULL';
  if (status === 409 || status === 429 || status === 503) return 'BUSY';
  // A body that arrived damaged (BadDigest and servers' own names for it) is worth another try.
  if (name.includes('Digest') || name.includes('Checksum')) return 'NETWORK';
  return status >= 500 ? 'BUSY' : 'REMOTE';
}
