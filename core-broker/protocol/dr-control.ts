// Private requests of rocketmq-dr: codes above 32767 with JSON bodies, so no Apache code is touched.
// Every request carries ext fields `nonce`, `opId`, `sentAtMs` and `mac` =
// HMAC-SHA256(drSecret, code "\n" opId "\n" nonce "\n" sentAtMs "\n" body) in hex; see dr-auth.ts.
// A receiver refuses a wrong mac, a nonce seen before and a clock more than 5 minutes off (code 16).
// Bodies are the interfaces below. Answers: code 0 with a JSON body, or an error code with a remark.
// Undoing is decided at the receiver. UNFENCE, UNSEAL and LINK_RESUME succeed also when nothing of their
// opId is set, and retire the opId there, durably: FENCE, SEAL, LINK_HALT and PROMOTE of a retired opId
// are refused (34002), because requests of a dead controller may still be on their way. They are refused
// themselves (34002), and retire nothing: UNFENCE of an opId that has sealed, UNSEAL while another
// operation's seal stands or a higher epoch exists, LINK_RESUME while another operation's halt stands.
// PROMOTE, forced or not, is refused (34002) unless the link is halted by the same opId; LINK_RESUME is
// refused (34002) by a side that is active, so once that opId was promoted. So LINK_RESUME and PROMOTE of
// one opId exclude each other.
// DR_FENCED (34000) answers mean "your epoch is old": the body is a DrStatus.

/** Private request codes. Receivers: B broker, S broker in a daemon that runs a link, N name server, G gateway. */
export const DR_CODE = {
  /** B: role, epoch, log bounds, link, relay. Body {} -> DrStatus. */
  STATUS: 40001,
  /** B: park sends until the deadline. FenceRequest -> DrStatus. Idempotent by opId. */
  FENCE: 40002,
  /** B: lift a fence that was not sealed. OpRequest -> DrStatus. */
  UNFENCE: 40003,
  /** B: durable fence; never expires. OpRequest -> SealedTailToken. Idempotent by opId. */
  SEAL: 40004,
  /** B: lift a seal, or a fence, with the opId that set it (abort). OpRequest -> DrStatus. */
  UNSEAL: 40005,
  /**
   * B: standby -> active with epoch + 1. PromoteRequest -> PromoteResult. Idempotent by opId. Ends a
   * relay of its own: after a switch there and back, clients would be spliced round in a circle.
   */
  PROMOTE: 40006,
  /** B: what a link asks before each HA connect. AttachRequest -> AttachResult. */
  LINK_ATTACH: 40007,
  /** B: source bounds at least every 200 ms. LinkStatusRequest -> LinkStatusResult. */
  LINK_STATUS: 40008,
  /** S: stop the link durably. OpRequest -> DrStatus. Reversible until promote. */
  LINK_HALT: 40009,
  /** S: undo LINK_HALT with the same opId. OpRequest -> DrStatus. */
  LINK_RESUME: 40010,
  /** B: sealed side starts to splice its clients to the target. RelayRequest -> DrStatus. */
  RELAY_START: 40011,
  /** B: OpRequest -> DrStatus. */
  RELAY_STOP: 40012,
  /** S: sealed or old active side becomes standby of the new active. ReverseRequest -> DrStatus. */
  REVERSE: 40013,
  /** B: operator's way out when nobody answered at boot. ActivateRequest -> DrStatus. */
  ACTIVATE: 40014,
  /** S: one last topics/groups/offsets/delayOffset sync. OpRequest -> FinalSyncResult. */
  FINAL_SYNC: 40015,
  /** B: loss statement input: what the standby has, per queue. {} -> TailReport. */
  TAIL_REPORT: 40016,
  /** N, G: make a region active. FlipRequest -> FlipResult. Takes only a higher epoch. */
  FLIP: 40020,
  /** N, G: {} -> FlipResult. */
  FLIP_STATUS: 40021,
  /**
   * B, on a connection that a gateway carries for a client: give it back. The request (opaque
   * RELEASE_OPAQUE) is the last the gateway sends there. ReleaseRequest -> ReleasedNotice, behind the
   * answers to everything accepted; then `bytes` raw bytes, then the end of the connection.
   */
  RELEASE: 40022,
} as const;

/** Clients count their requests up from 0: none of theirs is answered with this one. */
export const RELEASE_OPAQUE = -1_592_590_358;

/** Response code: the caller's epoch is old. Body: DrStatus of the answering broker. */
export const DR_FENCED = 34000;
/** Response code: a proof did not hold (token mismatch); remark says which part. */
export const DR_PROOF_FAILED = 34001;
/** Response code: refused by state (wrong role, wrong opId); remark says why. */
export const DR_WRONG_STATE = 34002;

export type RegionRole = 'active' | 'standby';

/** One line of a store's history: who wrote from which byte on. */
export interface LineageEntry {
  epoch: number;
  /** Random id of the boot that opened this stretch; a new one after every abnormal boot. */
  boot: string;
  /** Commit-log offset at which the stretch begins. */
  startOffset: number;
}

/**
 * Whether the store takes appends, and why not.
 * open: active and writable · fenced: parked until a deadline · sealed: durable, never expires ·
 * standby: only the link appends · closed: booted without an answer from a peer ·
 * deposed: another region has a higher epoch
 */
export type WriteState = 'open' | 'fenced' | 'sealed' | 'standby' | 'closed' | 'deposed';

export interface LinkReport {
  state: 'stopped' | 'connecting' | 'catching-up' | 'following' | 'halted' | 'failed';
  source: string;
  lagMessages: number;
  lagBytes: number;
  /** Age of the oldest source message not yet here, ms; 0 when level. */
  lagMs: number;
  /** When the numbers above were sampled at the source (wall clock ms); 0 = never. */
  sampledAtMs: number;
  haltedBy: string | undefined;
  lastError: string | undefined;
}

export interface DrStatus {
  region: string;
  role: RegionRole;
  writeState: WriteState;
  epoch: number;
  /** Operation that set the current fence, seal or promotion. */
  opId: string | undefined;
  clusterName: string;
  brokerName: string;
  storeId: string;
  boot: string;
  lineage: LineageEntry[];
  minOffset: number;
  maxOffset: number;
  mappedFileSizeCommitLog: number;
  /** Highest epoch this broker has heard of and where. */
  activeRegion: string | undefined;
  activeEpoch: number;
  /** Equal where the same ACL accounts are in force; absent without ACL. */
  accounts?: string | undefined;
  parkedSends: number;
  relay: { target: string; region: string; epoch: number; connections: number } | undefined;
  link: LinkReport | undefined;
  haAddress: string;
  nowMs: number;
}

export interface OpRequest {
  opId: string;
}

export interface FenceRequest extends OpRequest {
  /** Fence duration from receipt, ms; the fence lifts by itself after it. */
  deadlineMs: number;
}

/** Proof of the exact end of a sealed side; the promoted side recomputes and compares. */
export interface SealedTailToken {
  lineage: LineageEntry[];
  epoch: number;
  logEnd: number;
  /** CRC-32 of the last commit-log file from its start to logEnd. */
  lastFileCrc: number;
  /** SHA-256 (hex) of the sorted lines `topic@queue=max\n`. */
  queueDigest: string;
  /** SHA-256 (hex) of the sorted lines `topic@group@queue=offset\n` then `level=offset\n`. */
  offsetDigest: string;
}

export interface PromoteRequest extends OpRequest {
  fromEpoch: number;
  /** Null only with forced: failover promotes from the validated end. */
  token: SealedTailToken | null;
  forced: boolean;
}

export interface PromoteResult {
  epoch: number;
  /** Commit-log offset at which the new epoch begins. */
  startOffset: number;
  promotedAtMs: number;
}

export interface AttachRequest {
  linkId: string;
  epoch: number;
  /** Next byte the standby wants. */
  position: number;
  /** CRC-32 (unsigned) of the bytes of the last record before position; 0 when position is the start. */
  lastRecordCrc: number;
  lineage: LineageEntry[];
  /** Store id of the standby; equal ids mean one store under two names. */
  storeId?: string;
}

export interface AttachResult {
  /** resume: continue at position · truncate: cut to `truncateTo` first · refused: see reason */
  verdict: 'resume' | 'truncate' | 'refused';
  truncateTo: number;
  reason: string | undefined;
  epoch: number;
  lineage: LineageEntry[];
  minOffset: number;
  maxOffset: number;
  mappedFileSizeCommitLog: number;
  haAddress: string;
  storeId: string;
  region: string;
}

export interface LinkStatusRequest {
  linkId: string;
  /** Confirmed end of the standby; the source computes lag from it. */
  position: number;
  /** Send per-queue maxima changed at or after this log offset; -1 = none. */
  queuesSince: number;
}

export interface LinkStatusResult {
  epoch: number;
  minOffset: number;
  maxOffset: number;
  /** Messages in [position, maxOffset). */
  lagMessages: number;
  /** Store timestamp of the first record at or after position; 0 when level. */
  oldestUnsharedMs: number;
  nowMs: number;
  /** `topic@queue` -> next queue offset, only those changed since queuesSince. */
  queueMaxima: Record<string, number>;
}

export interface RelayRequest extends OpRequest {
  /** host:port of the promoted broker. */
  target: string;
  region: string;
  epoch: number;
}

export interface ReverseRequest extends OpRequest {
  /** host:port of the new active broker to follow. */
  source: string;
  sourceRegion: string;
  epoch: number;
}

export interface ActivateRequest extends OpRequest {
  epoch: number;
}

export interface FinalSyncResult {
  topics: number;
  groups: number;
  offsets: number;
  delayLevels: number;
  offsetDigest: string;
}

/** What a failover would promote from, and what the link last knew of the source. */
export interface TailReport {
  validatedEnd: number;
  /** Last LINK_STATUS sample: source end and per-queue maxima; sampledAtMs 0 = never. */
  sampledAtMs: number;
  sourceEpoch: number;
  sourceEnd: number;
  queues: { queue: string; standbyMax: number; sourceMax: number }[];
}

export interface FlipRequest extends OpRequest {
  region: string;
  epoch: number;
  /**
   * True: the old side is sealed and answers, so a gateway takes its open connections over one by one
   * (RELEASE). Absent: it is dead or not trusted, and they are cut at once.
   */
  handOver?: boolean;
}

export interface FlipResult {
  region: string;
  epoch: number;
  /** gateway: connections that were cut or re-pointed by the last flip. */
  moved: number;
}

/** Region and epoch in force at the gateway. */
export interface ReleaseRequest {
  region: string;
  epoch: number;
}

/** Whole frames that were accepted but not acted on; the first may be a oneway heartbeat of the client. */
export interface ReleasedNotice {
  bytes: number;
}
