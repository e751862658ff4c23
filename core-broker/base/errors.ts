// The one error class of the project and its table of codes.
// Two mappings exist and no third: code -> RocketMQ response code (broker), code -> exit status (cli).
// Rule: return or throw, never log and continue; match by code, never by message text.

/** What a caller may do with a failed call. */
export type RetryClass = 'never' | 'back-off' | 'refresh-route' | 'by-table';

/** Every code with its meaning and its default retry class. */
export const ERROR_CODES = {
  USAGE: { retry: 'never', meaning: 'the command line is wrong; the hint says what to change' },
  CONFIG: {
    retry: 'never',
    meaning: 'the configuration is wrong; file:line:column in the message',
  },
  NETWORK: { retry: 'back-off', meaning: 'a connection failed or was lost' },
  TIMEOUT: { retry: 'back-off', meaning: 'no answer in time; the effect is unknown' },
  BUSY: { retry: 'back-off', meaning: 'back-pressure: a bounded queue is full' },
  NOT_MASTER: { retry: 'refresh-route', meaning: 'this broker does not take writes now' },
  NO_ROUTE: { retry: 'refresh-route', meaning: 'the topic has no route' },
  REMOTE: { retry: 'by-table', meaning: 'the peer answered with a code (context.code)' },
  PROTOCOL: { retry: 'never', meaning: 'malformed or unsupported frame; close the connection' },
  CORRUPT: { retry: 'never', meaning: 'checksum, magic or gap; stop this unit, keep the file' },
  FENCED: { retry: 'never', meaning: 'our epoch is old or the region is closed; do not ack' },
  DISK_FULL: { retry: 'back-off', meaning: 'writes refused, reads go on' },
  CANCELLED: { retry: 'never', meaning: 'an AbortSignal fired' },
  LOCKED: { retry: 'back-off', meaning: 'another process or operation holds the lock' },
  NOT_FOUND: { retry: 'never', meaning: 'the named thing does not exist' },
  REFUSED: { retry: 'never', meaning: 'a safety check refused; nothing changed' },
  ROLLED_BACK: { retry: 'never', meaning: 'undone after a start; nothing changed' },
  IN_DOUBT: { retry: 'never', meaning: 'stopped at or after the point of no return: run resume' },
  WOULD_LOSE_DATA: { retry: 'never', meaning: 'data loss was not accepted' },
  INCOMPLETE: {
    retry: 'never',
    meaning: 'done, but something is missing (a gap, a side not attached)',
  },
  VERIFY_FAILED: { retry: 'never', meaning: 'a proof did not hold' },
  DRIFTED: { retry: 'never', meaning: 'the state moved away from the plan' },
  AUTH: { retry: 'never', meaning: 'authentication failed or a key is wrong' },
  UNREACHABLE: { retry: 'back-off', meaning: 'a peer that is needed cannot be reached' },
  UNEXPECTED: { retry: 'never', meaning: 'a bug or an unknown failure' },
} as const satisfies Record<string, { retry: RetryClass; meaning: string }>;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface DrErrorOptions {
  /** What the operator should do next, one sentence. */
  hint?: string;
  /** Facts with units in their names, for logs and -o json. */
  context?: Record<string, unknown>;
  cause?: unknown;
  retry?: RetryClass;
}

/** The only error that crosses a module's door. */
export class DrError extends Error {
  readonly code: ErrorCode;
  readonly retry: RetryClass;
  readonly hint: string | undefined;
  readonly context: Record<string, unknown>;

  constructor(code: ErrorCode, message: string, options: DrErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DrError';
    this.code = code;
    this.retry = options.retry ?? ERROR_CODES[code].retry;
    this.hint = options.hint;
    this.context = options.context ?? {};
  }

  /** Total: whatever was thrown becomes a DrError; a DrError is returned as it is. */
  static from(reason: unknown): DrError {
    if (reason instanceof DrError) return reason;
    if (!(reason instanceof Error)) return new DrError('UNEXPECTED', String(reason));
    const code = SYSTEM_CODES[(reason as NodeJS.ErrnoException).code ?? ''] ?? 'UNEXPECTED';
    return new DrError(code, reason.message, { cause: reason });
  }

  /** True when `reason` is a DrError with one of `codes`. */
  static is(reason: unknown, ...codes: ErrorCode[]): reason is DrError {
    return reason instanceof DrError && codes.includes(reason.code);
  }
}

/** Node system error codes that have a meaning of ours. */
const SYSTEM_CODES: Record<string, ErrorCode> = {
  ECONNREFUSED: 'NETWORK',
  ECONNRESET: 'NETWORK',
  EPIPE: 'NETWORK',
  ENOTFOUND: 'NETWORK',
  EHOSTUNREACH: 'NETWORK',
  ENETUNREACH: 'NETWORK',
  ETIMEDOUT: 'TIMEOUT',
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
  ENOENT: 'NOT_FOUND',
  ABORT_ERR: 'CANCELLED',
};
