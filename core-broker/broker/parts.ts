// What the parts of one broker process see of each other, and all that the DR part (dr/, ha/) may
// touch. Only shapes live here: broker.ts builds the parts, attachDr(parts, options) adds the DR side.
// Order of life: store opened -> parts built -> attachDr -> Broker.start: server listens ->
// DrAttachment.start (HA port, boot check, schedule when active) -> registration.
import type { Clock, DrError, Service } from '../base/index.ts';
import type { DrStatus, RemotingCommand, ResponseInit } from '../protocol/index.ts';
import type { ServerConnection } from '../remoting/index.ts';
import type { MessageStore } from '../store/index.ts';
import type { AdmissionSlot } from './admission.ts';
import type { BrokerConfig } from './config/index.ts';
import type { DrBrokerOptions, LinkControl, StandbyMetadataSink, StandbySink } from './door.ts';
import type { MetadataTables } from './metadata/index.ts';

/**
 * Answers one decoded request; undefined = no answer now or ever (answered elsewhere).
 * What it throws becomes a response code in response-codes.ts.
 */
export type RequestHandler = (
  request: RemotingCommand,
  connection: ServerConnection,
) => ResponseInit | undefined | Promise<ResponseInit | undefined>;

/** Handlers by request code; a code without one is answered with 3. */
export interface RequestTable {
  on(code: number, handler: RequestHandler): void;
}

/** Pulls that wait for messages. */
export interface PullHolder {
  readonly held: number;
  /** Runs every held pull, or those of one connection, once more without holding it again. */
  answerAll(of?: ServerConnection): void;
}

/** Delivery of delayed messages; only the active side runs it. Both calls are idempotent. */
export interface ScheduleService {
  start(): void;
  stop(): void;
}

/** Timer times of the source, as a standby takes them over. */
export interface MirroredTimers {
  mirror(checkpoint: Buffer): Promise<void>;
  /** The log here is proven to hold all of the source's: the times taken last count. */
  adopt(): Promise<void>;
  /** Resolves when the service, told to stop, has written down how far it came. */
  stopped(): Promise<void>;
}

export interface RegistrationRole {
  /** DataVersion.stateVersion: the epoch; 0 for a plain broker. */
  stateVersion: number;
  /** brokerPermission while in this role: 6, or 4 for a side that takes no writes. */
  permission: number;
}

export interface Registration {
  /** Takes effect with the next registration; call registerNow() to have it at once. */
  setRole(role: RegistrationRole): void;
  /** One round to all name servers in parallel; resolves with those that failed. Never rejects. */
  registerNow(): Promise<{ address: string; reason: DrError }[]>;
  /** Resolves when the last change of topics was told to each name server, or soon. Never rejects. */
  announced(): Promise<unknown>;
}

/** Per-connection state the dispatcher keeps in `connection.attachment`. */
export interface ClientSession {
  readonly connection: ServerConnection;
  /** Copy of the last heartbeat frame (34), for replay by a relay. */
  lastHeartbeat: Buffer | undefined;
  /** Free for the DR part (relay state). */
  relay: unknown;
  /** Sends appended but not yet answered. */
  readonly withheldReplies: number;
}

/** The frame side of the broker, both listeners (main and VIP). */
export interface FrameDoor {
  /** Every open client connection of the main and the VIP listener. */
  connections(): Iterable<ServerConnection>;
  sessionOf(connection: ServerConnection): ClientSession;
  /** Feeds one whole frame as if it had just arrived (parked sends). Ignored when closed. */
  inject(connection: ServerConnection, frame: Buffer): void;
  /** Told of every new connection, before its first frame. */
  onOpen(listener: (connection: ServerConnection) => void): void;
  /** Told once per connection when it is gone; not after detach(). */
  onClose(listener: (connection: ServerConnection) => void): void;
  /** The broker forgets a connection that is about to be detached: consumer groups, locks, holds. */
  forget(connection: ServerConnection): void;
}

export interface BrokerParts {
  readonly config: BrokerConfig;
  readonly clock: Clock;
  readonly store: MessageStore;
  readonly admission: AdmissionSlot;
  readonly tables: MetadataTables;
  readonly pulls: PullHolder;
  readonly schedule: ScheduleService;
  readonly timers: MirroredTimers;
  readonly registration: Registration;
  readonly requests: RequestTable;
  readonly frames: FrameDoor;
  /** host:port that clients use; known once the broker listens. */
  advertised(): string;
  /** host:port of the HA port; known once the DR side is attached. */
  haAddress(): string;
  /** Digest of the ACL accounts in force; undefined without ACL. */
  accounts(): string | undefined;
  /** A part died: the process must end with this error. */
  fail(reason: DrError): void;
}

/** What attachDr returns. Without `options` it serves only the HA port. */
export interface DrAttachment extends Service {
  readonly haAddress: string;
  /** Undefined without options. */
  readonly sink: StandbySink | undefined;
  readonly metadataSink: StandbyMetadataSink | undefined;
  status(): DrStatus | undefined;
  /** Why this side does not do what its role asks for; no reason = ready. */
  drHealth(): { ready: boolean; reasons: string[] };
  useLink(link: LinkControl): void;
}

/** Implemented in ./dr; without options it must start the schedule itself: a plain broker is active. */
export type AttachDr = (parts: BrokerParts, options: DrBrokerOptions | undefined) => DrAttachment;
