// The memory of an operation: one record before and one after each step, durable before the step's
// effect and before the next step. It only remembers; what the brokers' files say wins.
// Layout: key `operation` = the current or last operation (compare-and-set), stream `op:<opId>` = its
// records. A controller that lost the lock is refused by the store (guard) before it acts.
import type { SealedTailToken } from '../core-broker/protocol/index.ts';
import type { ControlStore, LeaseGuard } from './control-store/index.ts';
import type { LossStatement } from './statement.ts';

export type OperationKind = 'planned' | 'failover';

/** Steps in the order of the plan; `roll-back` undoes. */
export type StepName =
  | 'catch-up'
  | 'fence'
  | 'seal'
  | 'drain'
  | 'cut-off'
  | 'halt'
  | 'assess'
  | 'final-sync'
  | 'promote'
  | 'flip'
  | 'relay'
  | 'canary'
  | 'reverse'
  | 'roll-back';

/**
 * after: done · partial: passed, something was not reached, a resume tries it again ·
 * failed: ended with an error; its effect may or may not have happened
 */
export type StepStage = 'before' | 'after' | 'partial' | 'failed';

export type Outcome = 'done' | 'incomplete' | 'rolled-back' | 'superseded';

/** The value of the key `operation`. */
export interface Operation {
  opId: string;
  kind: OperationKind;
  from: string;
  to: string;
  /** Epoch that ends; the promotion makes it fromEpoch + 1. */
  fromEpoch: number;
  maxWritePauseMs: number;
  reverseLink: boolean;
  startedAtMs: number;
  endedAtMs: number | undefined;
  outcome: Outcome | undefined;
  /** True when the control store had forgotten it and it was rebuilt from the brokers. */
  isRebuilt: boolean;
}

export interface StepRecord {
  opId: string;
  step: StepName;
  stage: StepStage;
  atMs: number;
  facts: StepFacts;
}

/** What a step leaves for its successors and for the operator. */
export interface StepFacts {
  /** seal: broker name -> proof of its end. */
  tokens?: Record<string, SealedTailToken>;
  /** assess: what the failover loses. */
  statement?: LossStatement;
  /** What could not be done, for an incomplete end. */
  problems?: string[];
  [detail: string]: unknown;
}

/** What the journal knows about the steps of one operation. */
export interface Progress {
  begun: ReadonlySet<StepName>;
  done: ReadonlySet<StepName>;
  tokens: Readonly<Record<string, SealedTailToken>>;
  statement: LossStatement | undefined;
}

export const NO_PROGRESS: Progress = {
  begun: new Set(),
  done: new Set(),
  tokens: {},
  statement: undefined,
};

/**
 * Pure: the records of one operation folded into what is known.
 * @param retryBefore partial steps before this index count as not done: a resume tries them again
 */
export function foldProgress(records: readonly StepRecord[], retryBefore = 0): Progress {
  const begun = new Set<StepName>();
  const done = new Set<StepName>();
  const tokens: Record<string, SealedTailToken> = {};
  let statement: LossStatement | undefined;
  for (const [index, record] of records.entries()) {
    begun.add(record.step);
    const isPassed = record.stage === 'partial' && index >= retryBefore;
    if (record.stage !== 'after' && !isPassed) continue;
    done.add(record.step);
    Object.assign(tokens, record.facts.tokens);
    statement = record.facts.statement ?? statement;
  }
  return { begun, done, tokens, statement };
}

const OPERATION_KEY = 'operation';
const streamOf = (opId: string) => `op:${opId}`;

export class Journal {
  readonly #store: ControlStore;
  #version = 0;
  #operation: Operation | undefined;
  #records: StepRecord[] = [];
  #retryBefore = 0;

  constructor(store: ControlStore) {
    this.#store = store;
  }

  get operation(): Operation | undefined {
    return this.#operation;
  }

  get records(): readonly StepRecord[] {
    return this.#records;
  }

  progress(): Progress {
    return foldProgress(this.#records, this.#retryBefore);
  }

  /** From now on the partial steps recorded so far are to be done again. */
  retryPartial(): void {
    this.#retryBefore = this.#records.length;
  }

  /** Reads the current or last operation and its records. */
  async load(): Promise<void> {
    const stored = await this.#store.read(OPERATION_KEY);
    this.#version = stored?.version ?? 0;
    this.#operation = stored?.value as Operation | undefined;
    this.#records = [];
    this.#retryBefore = 0;
    if (!this.#operation) return;
    const entries = await this.#store.readJournal(streamOf(this.#operation.opId));
    this.#records = entries.map((entry) => entry.record as StepRecord);
  }

  /**
   * Makes `operation` the current one, or notes its end.
   * @returns false when another controller changed the key since load()
   */
  async write(operation: Operation): Promise<boolean> {
    const version = await this.#store.compareAndSet(OPERATION_KEY, this.#version, operation);
    if (version === undefined) return false;
    this.#version = version;
    if (this.#operation?.opId !== operation.opId) {
      this.#records = [];
      this.#retryBefore = 0;
    }
    this.#operation = operation;
    return true;
  }

  /** Durable on return. @throws DrError LOCKED when the lease behind `guard` was lost */
  async append(record: StepRecord, guard: LeaseGuard): Promise<void> {
    await this.#store.append(streamOf(record.opId), record, guard);
    this.#records.push(record);
  }

  /** For a store that is gone while writes are stopped: known to this process only. */
  remember(record: StepRecord): void {
    this.#records.push(record);
  }
}
