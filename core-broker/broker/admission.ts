// Who may write now. The dispatcher asks the admission once per client write frame, before anything is
// decoded. Open costs one property read. The DR part of a broker puts its own admission into the slot;
// without it the broker is plain and always open.
// Invariant: admission is about clients' comfort (park instead of refuse). Safety is the epoch guard
// inside store.append, which every path passes whatever the admission says. Source: ours (switchover).
import type { ServerConnection } from '../remoting/index.ts';

/** open: append · parked: keep the frame · refused: answer with refusal(). */
export type AdmissionState = 'open' | 'parked' | 'refused';

/** A refusal in RocketMQ's words. */
export interface Refusal {
  code: number;
  remark: string;
}

export interface Admission {
  /** Read for each client write frame (send, reply send, batch, send-back). */
  readonly state: AdmissionState;
  /**
   * Takes over a copy of one whole frame (length word included) until it is injected again.
   * @returns false when the bounds are full: the caller answers with refusal()
   */
  park(connection: ServerConnection, frame: Buffer): boolean;
  /** What a refused write is answered with. Never called while open. */
  refusal(): Refusal;
  /** Undefined when a commit (15) of this group may be stored. */
  commitRefusal(group: string): Refusal | undefined;
  /** Undefined when send-back (36) may append; send-backs are refused, not parked. */
  sendBackRefusal(): Refusal | undefined;
  /** Longest time a pull may be held, ms. */
  readonly holdMsMax: number;
  /** False where appends belong to a link: no topic or group may be created on its own. */
  readonly mayCreate: boolean;
  /**
   * Sees every frame first; true = taken (relay). Bytes are valid during the call only.
   * Undefined costs nothing.
   */
  readonly intercept:
    | ((connection: ServerConnection, chunk: Buffer, start: number, end: number) => boolean)
    | undefined;
}

/** The admission of a plain broker. */
export const OPEN_ADMISSION: Admission = {
  state: 'open',
  park: () => false,
  refusal: () => ({ code: 14, remark: 'service not available now' }),
  commitRefusal: () => undefined,
  sendBackRefusal: () => undefined,
  holdMsMax: Number.POSITIVE_INFINITY,
  mayCreate: true,
  intercept: undefined,
};

/** Holds the admission in force; replaced at most when the DR part attaches. */
export interface AdmissionSlot {
  current: Admission;
}
