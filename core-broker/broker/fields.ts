// Reads header fields of decoded requests. A missing mandatory field is answered with code 1 and the
// name of the field, as Apache's slow decoder does.
import { type RemotingCommand, ResponseCode } from '../protocol/index.ts';
import { refuse } from './response-codes.ts';

/** A mandatory text field. */
export function textField(request: RemotingCommand, name: string): string {
  const value = request.ext[name];
  if (value !== undefined && value !== '') return value;
  return refuse(ResponseCode.SYSTEM_ERROR, `the custom field <${name}> is null`);
}

/** A whole number; mandatory unless `otherwise` is given. */
export function numberField(request: RemotingCommand, name: string, otherwise?: number): number {
  const value = request.ext[name];
  if (value === undefined || value === '') {
    if (otherwise !== undefined) return otherwise;
    return refuse(ResponseCode.SYSTEM_ERROR, `the custom field <${name}> is null`);
  }
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  return refuse(ResponseCode.SYSTEM_ERROR, `the custom field <${name}> is not a number: ${value}`);
}

/** A time in ms; what lies beyond our numbers (Java's Long.MAX_VALUE = "any time") is their end. */
export function timeField(request: RemotingCommand, name: string): number {
  const value = request.ext[name] ?? '';
  if (!/^-?\d{16,19}$/.test(value)) return numberField(request, name);
  return value.startsWith('-') ? Number.MIN_SAFE_INTEGER : Number.MAX_SAFE_INTEGER;
}

/** A truth value; `otherwise` when absent. */
export function flagField(request: RemotingCommand, name: string, otherwise = false): boolean {
  const value = request.ext[name];
  return value === undefined ? otherwise : value.toLowerCase() === 'true';
}
