// The contract of a broker process part, as the composition root (cli) sees it.
// The DR side of a broker needs things of other folders (the link); they come in as ports.
import type { Secret, Service } from '../base/index.ts';
import type {
  DrStatus,
  FinalSyncResult,
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
  report(): LinkReport | undefined;
  tailReport(): TailReport;
  halt(request: OpRequest): Promise<void>;
  resume(request: OpRequest): Promise<void>;
  finalSync(request: OpRequest): Promise<FinalSyncResult>;
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

export interface Broker extends Service {
  readonly store: MessageStore;
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
