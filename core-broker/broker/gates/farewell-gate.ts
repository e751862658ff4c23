// The last minutes of a broker with enableShutdownGracefully: clients that understand it (5.x newer than
// 5.3.1) are told with code 1500 to go to another broker, before anything of their request is done; older
// clients are served on until the connections close. What was taken before is answered as ever.
// DR control requests pass: whoever switches regions must see the truth until the end.
// Source: NettyRemotingAbstract.processRequestCommand, NettyRemotingServer.shutdown, behaviour only.
import { sleep } from '../../base/index.ts';
import {
  decodeCommand,
  isOneway,
  isResponse,
  MqVersion,
  ResponseCode,
} from '../../protocol/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import { isDrCode } from '../acl/index.ts';
import type { FrameGate } from './frame-gate.ts';

const LOOK_MS = 50;

export class FarewellGate implements FrameGate {
  admits(connection: ServerConnection, chunk: Buffer, start: number, end: number): boolean {
    const request = decodeCommand(chunk, start, end);
    if (isResponse(request) || isDrCode(request.code)) return true;
    if (request.version <= MqVersion.V5_3_1) return true;
    if (isOneway(request)) return false;
    connection.respond(request.opaque, { code: ResponseCode.GO_AWAY, remark: 'please go away' });
    return false;
  }

  /** Waits until every client has left, at most `seconds`. */
  async wait(connections: () => Iterable<ServerConnection>, seconds: number): Promise<void> {
    const untilMs = performance.now() + seconds * 1_000;
    const isAlone = () => [...connections()].length === 0;
    while (!isAlone() && performance.now() < untilMs) await sleep(LOOK_MS);
  }
}
