// Gives a client connection back to the gateway that carries it, so that the gateway can go on with it at
// the promoted broker while the client notices nothing. RELEASE is the last the gateway sends:
//   held pulls answered -> every accepted request answered -> the notice -> what was parked, raw -> end
// In front of the parked frames goes the client's last heartbeat, oneway, so that its group is known at
// the other side before anything else arrives there.
// Invariant: a frame is either answered here or given back, never both. Right in every role: a side that
// writes has nothing parked and gives back none. Source: ours.
import { createLog, LIMITS, sleep } from '../../../base/index.ts';
import {
  decodeCommand,
  encodeCommand,
  encodeResponse,
  FLAG_ONEWAY,
  RELEASE_OPAQUE,
  type ReleasedNotice,
  ResponseCode,
} from '../../../protocol/index.ts';
import { cut, type ServerConnection } from '../../../remoting/index.ts';
import type { BrokerParts } from '../../parts.ts';
import type { Parking } from '../parking.ts';

const log = createLog('dr');
/** An answer that is still outstanding is looked for this often. */
const SETTLE_MS = 5;

export interface ReleaseParts {
  parts: BrokerParts;
  parking: Parking;
}

/** Resolves when the connection is given back or gone. */
export async function releaseConnection(
  connection: ServerConnection,
  { parts, parking }: ReleaseParts,
): Promise<void> {
  parts.pulls.answerAll(connection);
  await settled(connection, parts);
  if (!connection.isOpen) return;
  // One tick from here on: nothing can be received or answered in between.
  const frames = parking.takeAllOf(connection);
  const { lastHeartbeat } = parts.frames.sessionOf(connection);
  if (lastHeartbeat !== undefined) frames.unshift(onewayOf(lastHeartbeat));
  parts.frames.forget(connection);
  const notice: ReleasedNotice = { bytes: frames.reduce((sum, { length }) => sum + length, 0) };
  const answer = { code: ResponseCode.SUCCESS, body: JSON.stringify(notice) };
  const socket = connection.detach();
  // Whoever goes on sending broke the agreement: a silent loss would be worse than a reset.
  socket.on('data', () => cut(socket));
  socket.setTimeout(LIMITS.parkedMs, () => socket.destroy());
  socket.write(encodeResponse(RELEASE_OPAQUE, answer));
  for (const frame of frames) socket.write(frame);
  socket.end();
  log.debug('relay.released', 'a connection was given back', {
    peer: connection.remoteAddress,
    ...notice,
  });
}

/** Returns when no answer of ours to this client is outstanding, or the client is gone. */
export async function settled(connection: ServerConnection, parts: BrokerParts): Promise<void> {
  const session = parts.frames.sessionOf(connection);
  const isOwing = () => session.withheldReplies > 0 || connection.unanswered > 0;
  while (connection.isOpen && isOwing()) await sleep(SETTLE_MS);
}

/** The same heartbeat, but nobody waits for an answer to it. */
export function onewayOf(frame: Buffer): Buffer {
  const command = decodeCommand(frame, 0, frame.length);
  return encodeCommand({ ...command, flag: command.flag | FLAG_ONEWAY });
}
