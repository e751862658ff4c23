// The source as the link sees it, whether it is ours or a stock Apache master: one question before each
// connection (may I copy, from which byte, where is the HA port) and one on a clock (how far are you).
import type { LineageEntry } from '../../core-broker/protocol/index.ts';
import type { SinkPosition } from '../ports.ts';

/**
 * resume: copy from `startAt` · truncate: cut to `truncateTo`, then ask again · refused: not now, ask
 * again later · gap: retention deleted what is missing here · loop: the source is this very region ·
 * diverged: the bytes differ and nobody can say who is right
 */
export type AttachVerdict = 'resume' | 'truncate' | 'refused' | 'gap' | 'loop' | 'diverged';

export interface Attachment {
  verdict: AttachVerdict;
  reason: string;
  truncateTo: number;
  /** First byte of the log that is missing here, resume only. */
  startAt: number;
  minOffset: number;
  /** Epoch under which the bytes may be appended. */
  epoch: number;
  /** History of the source; undefined when it has none (stock). */
  lineage: LineageEntry[] | undefined;
  haAddress: string;
}

export interface SourceSample {
  /**
   * Our wall clock when the question left: everything the source acknowledged before it is in this sample.
   * Later (when the answer came) would leave acknowledgements that are neither counted nor unknown.
   */
  sampledAtMs: number;
  epoch: number;
  minOffset: number;
  maxOffset: number;
  lagMessages: number;
  /** Store timestamp of the oldest record missing here, source clock; 0 when level. */
  oldestUnsharedMs: number;
  sourceNowMs: number;
  queueMaxima: Record<string, number>;
}

export interface SourceSide {
  /** @throws DrError REMOTE with code 3 when the source is of another kind; NETWORK, TIMEOUT, AUTH */
  attach(position: SinkPosition): Promise<Attachment>;
  /** @param queuesSince log offset from which changed queue maxima are wanted */
  sample(position: number, queuesSince: number): Promise<SourceSample>;
}

/** Fields of an attachment that is not "resume". */
export const refusedAttachment = (
  verdict: AttachVerdict,
  reason: string,
  facts: Partial<Attachment> = {},
): Attachment => ({
  verdict,
  reason,
  truncateTo: 0,
  startAt: 0,
  minOffset: 0,
  epoch: 0,
  lineage: undefined,
  haAddress: '',
  ...facts,
});
