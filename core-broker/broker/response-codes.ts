// The only place where an error becomes a RocketMQ response code. Clients act on codes alone: 14, 16, 17
// and 1 make them try another broker, 2 does not with Java 4.9, Go and ali-ons, 13 is final.
// Source: response code reactions of the Java, Go and ali-ons clients.
import { DrError, type ErrorCode } from '../base/index.ts';
import { ResponseCode, type ResponseInit, toQueueKeyedJson } from '../protocol/index.ts';
import type { Admission, Refusal } from './admission.ts';

const CODES: Partial<Record<ErrorCode, number>> = {
  USAGE: ResponseCode.MESSAGE_ILLEGAL,
  CONFIG: ResponseCode.INVALID_PARAMETER,
  BUSY: ResponseCode.SYSTEM_BUSY,
  NOT_MASTER: ResponseCode.SERVICE_NOT_AVAILABLE,
  FENCED: ResponseCode.NO_PERMISSION,
  DISK_FULL: ResponseCode.SERVICE_NOT_AVAILABLE,
  REFUSED: ResponseCode.NO_PERMISSION,
  AUTH: ResponseCode.NO_PERMISSION,
};

/** Remarks Apache clients and operators know by their first word. */
const PREFIXES: Partial<Record<ErrorCode, string>> = {
  BUSY: '[REJECTREQUEST]system busy, start flow control for a while: ',
  DISK_FULL: 'service not available now. It may be caused by a full disk: ',
};

/** Ends the handling of a request with this code; thrown so that checks read as a list. */
export function refuse(code: number, remark: string): never {
  throw new DrError('REFUSED', remark, { context: { responseCode: code } });
}

/** Code and remark for whatever a handler threw. */
export function refusalOf(reason: unknown, admission: Admission): Refusal {
  const error = DrError.from(reason);
  const chosen = error.context['responseCode'];
  if (typeof chosen === 'number') return { code: chosen, remark: error.message };
  const isClosed = error.code === 'FENCED' || error.code === 'NOT_MASTER';
  if (isClosed && admission.state === 'refused') return admission.refusal();
  return {
    code: CODES[error.code] ?? ResponseCode.SYSTEM_ERROR,
    remark: (PREFIXES[error.code] ?? '') + error.message,
  };
}

/** An empty success. */
export const OK: ResponseInit = { code: ResponseCode.SUCCESS };

/** A success with a JSON body. */
export const okJson = (body: unknown): ResponseInit => ({
  code: ResponseCode.SUCCESS,
  body: toQueueKeyedJson(body),
});
