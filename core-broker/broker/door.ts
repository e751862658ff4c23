// The contract of a broker process part, as the composition root (cli) sees it.
// The DR side of a broker needs things of other folders (the link); they come in as ports.
import type { CommitLogOffset, Epoch, Secret, Service } from '../base/index.ts';
import type {
  DrStatus,
  FinalSyncResult,
  LineageEntry,
  LinkReport,
  OpRequest,
  RegionRole,
  ReverseRequest,
  TailReport,
} from '../protocol/index.ts';
import type { MessageStore } from '../store/index.ts';

/** Addresses of one region as `host:port`. */
export interface RegionAddresses {
  nameservers: string[];
  /** Broker name -> address of its master. */
  brokers: Record<string, string>;
}

/** The link of this region, driven by signed requests to the broker. Implemented in cli over replicator. */
export interface LinkControl {
  /** Resolves once the link has read what it remembers, which may be after the broker listens. */
  ready(): Promise<void>;
  report(): LinkReport | undefined;
  tailReport(): TailReport;
  halt(request: OpRequest): Promise<void>;
  resume(request: OpRequest): Promise<void>;
  finalSync(request: OpRequest): Promise<FinalSyncResult>;
  /** Remembers whom to follow, durably; called before the store becomes a standby of it. */
  noteSource(request: ReverseRequest): void;
  /** Called after the store became a standby of `source`: follow it. */
  reverse(request: ReverseRequest): Promise<void>;
  /** Called when this region was promoted: the link ends for good. */
  stop(): Promise<void>;
}

/** The `dr` section of a broker: without it the broker is plain and has no epochs. */
export interface DrBrokerOptions {
  region: string;
  /** Role when the store has no drEpoch file yet. */
  initialRole: RegionRole;
  secret: Secret;
  regions: Record<string, RegionAddresses>;
  globalNameservers: string[];
  /** Groups whose consumers live at the standby: their offsets are their own. */
  standbyGroups: string[];
  /** Optional self-fencing: stop acknowledging when no peer answered for this long; 0 = off. */
  leaseMs: number;
  /** Peers that may attach to the HA port; empty = any. */
  haAllow: string[];
}

/** Where the copy of a standby ends. */
export interface SinkEnd {
  offset: CommitLogOffset;
  epoch: Epoch;
  /** CRC-32 of the last whole message record before offset, 0 when there is none. */
  lastRecordCrc: number;
  /** -1 when there is none. */
  lastRecordOffset: number;
  lineage: LineageEntry[];
}

/** What a link may do to a standby's log; the same shape as the replicator's port ExactSink. */
export interface StandbySink {
  position(): SinkEnd;
  append(offset: number, bytes: Buffer, epoch: Epoch): void;
  validatedEnd(): CommitLogOffset;
  pendingBytes(): number;
  drained(): Promise<void>;
  checkedMore(): Promise<void>;
  settled(): Promise<void>;
  flush(): Promise<void>;
  exportAndTruncate(to: number): Promise<string>;
  adoptLineage(epoch: Epoch, lineage: LineageEntry[]): void;
  readRecord(offset: number): Buffer;
}

/** Contents of codes 21, 201, 43 and 45, as a link brings them; the replicator's port MetadataSink. */
export interface StandbyMetadataSink {
  apply(snapshot: {
    topics: unknown;
    groups: unknown;
    consumerOffsets: unknown;
    delayOffsets: unknown;
    requestModes?: unknown;
    timerCheckpoint?: string | undefined;
  }): { topics: number; groups: number; offsets: number; delayLevels: number };
}

export interface Broker extends Service {
  readonly store: MessageStore;
  /** Root of the store's files. */
  readonly storeRoot: string;
  /** Where a link writes; undefined without a dr section. */
  readonly sink: StandbySink | undefined;
  readonly metadataSink: StandbyMetadataSink | undefined;
  /** host:port that clients use, known after start. */
  readonly address: string;
  readonly haAddress: string;
  /** Undefined without a dr section. */
  status(): DrStatus | undefined;
  /** Why this broker is not healthy in its role, one sentence each (base DR: drHealth); empty = green. */
  health(): { reasons: string[] };
  /** Wires the link; before start(). */
  useLink(link: LinkControl): void;
}
