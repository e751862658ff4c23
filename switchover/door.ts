// The contract of the controller: what the operator's verbs ask of it and what it answers.
// Verbs: switchover (loses nothing or changes nothing), failover (says what is lost first), resume,
// abort; status, plan and ready only look. Failures are DrErrors whose code is the exit status:
// REFUSED 4 · ROLLED_BACK 5 · IN_DOUBT 6 · LOCKED 7 · WOULD_LOSE_DATA 8 · INCOMPLETE 3 · NOT_FOUND 10 ·
// DRIFTED 11 · UNREACHABLE 13.
import type { Clock } from '../core-broker/base/index.ts';
import type { DrClient, PeerClient } from '../core-broker/client/index.ts';
import type { DrStatus, FlipResult } from '../core-broker/protocol/index.ts';
import type { FlipsConfig, SwitchoverConfig } from './config.ts';
import type { ControlStore } from './control-store/index.ts';
import type { Operation, OperationKind, StepName, StepStage } from './journal.ts';
import type { Phase } from './plan-table.ts';
import type { PreflightCheck } from './preflight.ts';
import type { LossStatement } from './statement.ts';

/** Where one region is reached. */
export interface RegionTopology {
  nameservers: string[];
  /** Broker name -> host:port of its master. */
  brokers: Record<string, string>;
}

export interface ControllerOptions {
  regions: Record<string, RegionTopology>;
  flips: FlipsConfig;
  settings: SwitchoverConfig;
  drClient: DrClient;
  /** For topic comparison in pre-flight and the canary. */
  peerClient: PeerClient;
  store: ControlStore;
  /** Called for every step, progress sample and the statement; must not throw. */
  report?: (event: ControllerEvent) => void;
  clock?: Clock;
  /** Waits between polls; tests give virtual time. */
  sleep?: (ms: number) => Promise<void>;
  /** Who runs this controller; default: this process. */
  process?: { host: string; pid: number; isAlive(pid: number): boolean };
}

export type ControllerEvent =
  | {
      type: 'step';
      opId: string;
      step: StepName;
      stage: StepStage;
      atMs: number;
      why: string;
      detail: Record<string, unknown>;
    }
  | { type: 'progress'; opId: string; lagMessages: number; lagBytes: number; lagMs: number }
  | { type: 'statement'; statement: LossStatement }
  | { type: 'problem'; opId: string; message: string };

export interface SwitchoverRequest {
  /** Region to make active; may be left out when there are two. */
  to?: string;
  maxWritePauseMs?: number;
  reverseLink?: boolean;
}

export interface FailoverRequest {
  to?: string;
  /** Without it the statement is made and nothing changes. */
  acceptDataLoss?: boolean;
}

/** How an operation ended. */
export interface OperationResult {
  operation: Operation;
  outcome: 'done' | 'incomplete' | 'rolled-back';
  epoch: number;
  /** Fence to the last promotion answered, ms, as the controller saw it; undefined after a resume. */
  writePauseMs: number | undefined;
  /** Decision to the first canary stored by the new region, ms; undefined without a canary. */
  rtoMs: number | undefined;
  statement: LossStatement | undefined;
  /** What is missing when the outcome is incomplete, one sentence each. */
  problems: string[];
}

export interface PlanResult {
  kind: OperationKind;
  from: string;
  to: string;
  fromEpoch: number;
  checks: PreflightCheck[];
  steps: { step: StepName; why: string }[];
  /** Failover only: what would be lost now. */
  statement: LossStatement | undefined;
}

export interface BrokerReport {
  region: string;
  brokerName: string;
  address: string;
  status: DrStatus | undefined;
  error: string | undefined;
}

export interface FlipReport {
  kind: 'global-nameserver' | 'gateway';
  address: string;
  status: FlipResult | undefined;
  error: string | undefined;
}

export interface StatusReport {
  /** Region that writes at the highest epoch any broker told of; undefined when none answered. */
  activeRegion: string | undefined;
  epoch: number;
  brokers: BrokerReport[];
  flips: FlipReport[];
  operation: Operation | undefined;
  phase: Phase;
  /** Controller that holds the lock now. */
  lockedBy: string | undefined;
  timeline: { step: StepName; stage: StepStage; atMs: number }[];
}

export interface ReadyReport {
  switchover: { ready: boolean; checks: PreflightCheck[] };
  failover: { ready: boolean; checks: PreflightCheck[]; statement: LossStatement | undefined };
}

export interface Controller {
  /** @throws DrError REFUSED, ROLLED_BACK, IN_DOUBT, LOCKED, INCOMPLETE, UNREACHABLE, DRIFTED */
  switchover(request: SwitchoverRequest): Promise<OperationResult>;
  /** @throws DrError WOULD_LOSE_DATA (context.statement), REFUSED, IN_DOUBT, LOCKED, INCOMPLETE */
  failover(request: FailoverRequest): Promise<OperationResult>;
  /** Finishes what a stopped controller began, or flips what missed a flip. @throws NOT_FOUND … */
  resume(): Promise<OperationResult>;
  /** Undoes an unfinished operation. @throws DrError REFUSED after the promotion, IN_DOUBT … */
  abort(): Promise<OperationResult>;
  status(): Promise<StatusReport>;
  /** What the verb would do now; changes nothing. */
  plan(intent: { verb: 'switchover' | 'failover'; to?: string }): Promise<PlanResult>;
  ready(to?: string): Promise<ReadyReport>;
}
