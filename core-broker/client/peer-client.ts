// One connection per peer address, made on demand and kept: the base of every other client.
// It is the remoting client behind the PeerClient contract, plus two rules of ours: several handlers
// may listen to requests of the peers (the first answer wins), and `call` turns a response code other
// than 0 into an error that carries the code.
import { DrError } from '../base/index.ts';
import type { RemotingCommand, RequestInit } from '../protocol/index.ts';
import { RemotingClient } from '../remoting/index.ts';
import type { PeerClient } from './door.ts';

type PeerRequestHandler = Parameters<PeerClient['onRequest']>[0];

/** The error of a response whose code is not 0; `context.code` holds the code. */
export function remoteError(address: string, request: number, response: RemotingCommand): DrError {
  const remark = response.remark ?? 'no remark';
  return new DrError('REMOTE', `${address} answered ${response.code} to ${request}: ${remark}`, {
    context: { address, request, code: response.code, remark },
  });
}

/** Response code inside a REMOTE error, undefined for any other error. */
export function remoteCode(reason: unknown): number | undefined {
  if (!DrError.is(reason, 'REMOTE')) return undefined;
  const code = reason.context['code'];
  return typeof code === 'number' ? code : undefined;
}

/** A client for any RocketMQ process. Connections are closed by close() only, or by the peer. */
export function createPeerClient(): PeerClient {
  const remoting = new RemotingClient();
  const handlers: PeerRequestHandler[] = [];
  remoting.onRequest((address, request) => {
    for (const handler of handlers) {
      const answer = handler(address, request);
      if (answer !== undefined) return answer;
    }
    return undefined;
  });
  const invoke = (address: string, request: RequestInit, timeoutMs: number) =>
    remoting.invoke(address, request, timeoutMs);
  return {
    invoke,
    async call(address, request, timeoutMs) {
      const response = await invoke(address, request, timeoutMs);
      if (response.code !== 0) throw remoteError(address, request.code, response);
      return response;
    },
    oneway: (address, request) => remoting.oneway(address, request),
    onRequest: (handler) => void handlers.push(handler),
    close: () => remoting.close(),
  };
}
