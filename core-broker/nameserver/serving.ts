// What both kinds of name server share: their door, the mapping of our errors to response codes and the
// address they are reached at. Source: ours.
import { counter, type DrError, type ErrorCode, type Service } from '../base/index.ts';
import { ResponseCode, type ResponseInit } from '../protocol/index.ts';

export interface NameServer extends Service {
  /** host:port, known after start. */
  readonly address: string;
  /** What it sees, for /status. */
  status(): Record<string, unknown>;
  /** Why clients should not be sent here, one sentence each; empty = ready. */
  health(): { reasons: string[] };
}

/** Requests of known codes; a code nobody serves cannot make a label. */
export const requestsServed = counter({
  name: 'dr_nameserver_requests_total',
  help: 'requests answered by code',
  labelNames: ['code'],
});

const CODE_OF_ERROR: Partial<Record<ErrorCode, number>> = {
  AUTH: ResponseCode.NO_PERMISSION,
  BUSY: ResponseCode.SYSTEM_BUSY,
};

/** Error of a handler -> answer; everything without a code of its own is 1, as in Apache. */
export function toResponse(error: DrError): ResponseInit {
  return { code: CODE_OF_ERROR[error.code] ?? ResponseCode.SYSTEM_ERROR, remark: error.message };
}

/** Address to show and to hand out: a wildcard listener is reached on this machine by loopback. */
export function reachableAddress(bindAddress: string, port: number): string {
  const host = bindAddress === '0.0.0.0' || bindAddress === '::' ? '127.0.0.1' : bindAddress;
  return `${host}:${port}`;
}
