// The contract of a mirror link, as the composition root sees it.
import type { Secret, Service } from '../core-broker/base/index.ts';
import type { FinalSyncResult, LinkReport, TailReport } from '../core-broker/protocol/index.ts';
import type { LinkConfig } from './config.ts';

export interface LinkOptions {
  /** host:port of the source broker (remoting). */
  source: string;
  /** Store root of the standby: the link's state files live there. */
  stateDir: string;
  /** Who we are, for the loop guard. */
  ownRegion: string;
  ownStoreId: string;
  secret: Secret;
  config: LinkConfig;
}

/** Green only when copy, samples and metadata all work. */
export interface LinkHealth {
  isHealthy: boolean;
  /** Empty when healthy. */
  why: string;
}

export interface Link extends Service {
  /**
   * Stops copying, durably: it stays halted over restarts until resume() with the same opId, or until
   * the epoch of the store has grown. Everything taken is on disk on return. Idempotent by opId.
   * @throws DrError REFUSED when another operation halted it
   */
  halt(opId: string): Promise<void>;
  /** Undoes halt; does nothing when it is not halted. @throws DrError REFUSED for another opId */
  resume(opId: string): Promise<void>;
  /**
   * Waits until everything up to `to` is here and checked. @returns the validated end
   * @throws DrError TIMEOUT, REFUSED when the link failed
   */
  drain(to: number, timeoutMs: number): Promise<number>;
  /** One metadata copy that began after the call; works while halted. */
  finalSync(opId: string): Promise<FinalSyncResult>;
  status(): LinkReport;
  health(): LinkHealth;
  /** What is here and what the source was last known to have. @param standbyMax of `topic@queue` */
  tailReport(standbyMax: (queue: string) => number): TailReport;
}
