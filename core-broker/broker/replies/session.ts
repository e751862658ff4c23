// What the broker keeps per client connection: its last heartbeat and its sends that are appended but
// not answered yet.
import type { ServerConnection } from '../../remoting/index.ts';
import type { ClientSession } from '../parts.ts';
import type { KnownSends } from '../send/known-sends.ts';
import { WithheldReplies } from './withheld-replies.ts';

export class Session implements ClientSession {
  readonly connection: ServerConnection;
  lastHeartbeat: Buffer | undefined;
  relay: unknown;
  /** What the send path remembers of this client. */
  knownSends: KnownSends | undefined;
  readonly replies: WithheldReplies = new WithheldReplies();
  /** On the list of sessions with withheld replies. */
  isWaiting = false;
  /** Input is paused until the store has written more. */
  isPaused = false;

  constructor(connection: ServerConnection) {
    this.connection = connection;
  }

  get withheldReplies(): number {
    return this.replies.count;
  }
}

/** The session of a connection, made at its first use. */
export function sessionOf(connection: ServerConnection): Session {
  if (connection.attachment instanceof Session) return connection.attachment;
  const session = new Session(connection);
  connection.attachment = session;
  return session;
}
