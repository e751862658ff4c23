// The one mapping from error codes to exit status and text. `dr --help` prints the table.
import type { DrError, ErrorCode } from '../core-broker/base/index.ts';

export const EXIT = {
  DONE: 0,
  UNEXPECTED: 1,
  USAGE: 2,
  INCOMPLETE: 3,
  REFUSED: 4,
  ROLLED_BACK: 5,
  RESUME_NEEDED: 6,
  LOCKED: 7,
  DATA_LOSS_NOT_ACCEPTED: 8,
  VERIFY_FAILED: 9,
  NOT_FOUND: 10,
  DRIFTED: 11,
  AUTH: 12,
  UNREACHABLE: 13,
  TIMED_OUT: 124,
  INTERRUPTED: 130,
} as const;

/** Meaning of each exit status, as the documentation and --help print it. */
export const EXIT_TEXT: Record<number, string> = {
  0: 'done',
  1: 'unexpected error',
  2: 'usage or configuration',
  3: 'done but incomplete (a gap, a side not re-attached)',
  4: 'refused by a safety check, nothing changed',
  5: 'rolled back, nothing changed',
  6: 'stopped after the point of no return, run resume',
  7: 'another operation or process holds the lock or the port',
  8: 'would lose data and that was not accepted',
  9: 'verification failed',
  10: 'not found',
  11: 'state drifted from the plan',
  12: 'authentication or key',
  13: 'unreachable',
  124: 'timed out waiting, the operation goes on',
  130: 'interrupted',
};

const BY_CODE: Record<ErrorCode, number> = {
  USAGE: EXIT.USAGE,
  CONFIG: EXIT.USAGE,
  NETWORK: EXIT.UNREACHABLE,
  TIMEOUT: EXIT.TIMED_OUT,
  BUSY: EXIT.UNEXPECTED,
  NOT_MASTER: EXIT.REFUSED,
  NO_ROUTE: EXIT.NOT_FOUND,
  REMOTE: EXIT.UNEXPECTED,
  PROTOCOL: EXIT.UNEXPECTED,
  CORRUPT: EXIT.VERIFY_FAILED,
  FENCED: EXIT.REFUSED,
  DISK_FULL: EXIT.UNEXPECTED,
  CANCELLED: EXIT.INTERRUPTED,
  LOCKED: EXIT.LOCKED,
  NOT_FOUND: EXIT.NOT_FOUND,
  REFUSED: EXIT.REFUSED,
  ROLLED_BACK: EXIT.ROLLED_BACK,
  IN_DOUBT: EXIT.RESUME_NEEDED,
  WOULD_LOSE_DATA: EXIT.DATA_LOSS_NOT_ACCEPTED,
  INCOMPLETE: EXIT.INCOMPLETE,
  VERIFY_FAILED: EXIT.VERIFY_FAILED,
  DRIFTED: EXIT.DRIFTED,
  AUTH: EXIT.AUTH,
  UNREACHABLE: EXIT.UNREACHABLE,
  UNEXPECTED: EXIT.UNEXPECTED,
};

export const exitStatusOf = (failure: DrError): number => BY_CODE[failure.code];
