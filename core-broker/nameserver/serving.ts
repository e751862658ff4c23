// What both kinds of name server share on the socket side: the mapping of our errors to response codes
// and the address they are reached at. Source: ours.
import type { DrError, ErrorCode } from '../base/index.ts';
import { ResponseCode, type ResponseInit } from '../protocol/index.ts';

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
