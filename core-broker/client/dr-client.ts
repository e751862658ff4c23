// Signed private requests: fence, seal, promote, attach, status (protocol/dr-control.ts).
// The one idea: whoever calls gets the JSON answer or a DrError whose code says what to do; response
// codes of the wire are mapped here and nowhere else.
import { randomBytes } from 'node:crypto';
import { DrError, type ErrorCode } from '../base/index.ts';
import {
  DR_FENCED,
  DR_PROOF_FAILED,
  DR_WRONG_STATE,
  type RemotingCommand,
  signDrRequest,
} from '../protocol/index.ts';
import type { DrClient, DrClientOptions, PeerClient } from './door.ts';
import { createPeerClient, remoteError } from './peer-client.ts';

const NO_PERMISSION = 16;
const NONCE_BYTES = 16;
const DEFAULT_TIMEOUT_MS = 3_000;

/** Response code -> error code; anything else is REMOTE. */
const ERROR_OF_CODE: ReadonlyMap<number, ErrorCode> = new Map<number, ErrorCode>([
  [DR_FENCED, 'FENCED'],
  [DR_PROOF_FAILED, 'VERIFY_FAILED'],
  [DR_WRONG_STATE, 'REFUSED'],
  [NO_PERMISSION, 'AUTH'],
]);

/**
 * Each request is signed with a nonce of its own, so a retry is a new request to the receiver; what
 * makes retries safe is the opId.
 * @param peer shared connections; own ones when absent, closed by close()
 */
export function createDrClient(options: DrClientOptions, peer?: PeerClient): DrClient {
  const connections = peer ?? createPeerClient();
  return {
    async control<T>(
      address: string,
      request: { code: number; body: object; opId?: string },
      timeoutMs = DEFAULT_TIMEOUT_MS,
    ): Promise<T> {
      const opId = request.opId ?? (request.body as { opId?: string }).opId ?? '';
      const signed = signDrRequest(options.secret, {
        code: request.code,
        body: JSON.stringify(request.body),
        opId,
        nonce: randomBytes(NONCE_BYTES).toString('hex'),
        nowMs: Date.now(),
      });
      const response = await connections.invoke(address, signed, timeoutMs);
      if (response.code !== 0) throw controlError(address, request.code, response);
      return parseAnswer<T>(address, response);
    },
    close() {
      if (peer === undefined) connections.close();
    },
  };
}

function controlError(address: string, request: number, response: RemotingCommand): DrError {
  const code = ERROR_OF_CODE.get(response.code);
  if (code === undefined) return remoteError(address, request, response);
  const context = { address, request, code: response.code, ...statusOf(response) };
  return new DrError(code, `${address}: ${response.remark ?? 'refused'}`, { context });
}

/** The DrStatus a fenced answer carries, for the caller's log and decision. */
function statusOf(response: RemotingCommand): { status?: unknown } {
  if (response.code !== DR_FENCED || !response.body?.length) return {};
  try {
    return { status: JSON.parse(response.body.toString('utf8')) };
  } catch (reason) {
    return { status: `unreadable: ${String(reason)}` };
  }
}

function parseAnswer<T>(address: string, response: RemotingCommand): T {
  try {
    return JSON.parse(response.body?.toString('utf8') || '{}') as T;
  } catch (cause) {
    throw new DrError('PROTOCOL', `${address}: the answer is not JSON`, { cause });
  }
}
