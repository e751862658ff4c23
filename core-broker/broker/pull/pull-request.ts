// A pull request as the pull path needs it, whatever road it came by: scanned as bytes (nearly all) or
// decoded as an object (odd headers). Texts that come again and again are kept by their bytes, so that
// a scanned pull makes no string.
// Invariant: both roads give the same request for the same frame (property test); what is unusual is
// left to the decoded road. Nothing that depends on tables or settings is kept here.
import { keptBytes } from '../../base/index.ts';
import {
  type PullRequestView,
  type RemotingCommand,
  RequestCode,
  scanPullRequest,
} from '../../protocol/index.ts';
import { numberField, textField } from '../fields.ts';

/** Longer texts are rare and are decoded every time. */
const TEXT_BYTES_MAX = 1_024;
const TEXTS_MAX = 4_096;

/** What the consumer says about itself and its subscription. */
export interface PullTexts {
  readonly topic: string;
  readonly group: string;
  /** undefined = not in the request. */
  readonly subscription: string | undefined;
  readonly expressionType: string | undefined;
}

export interface PullRequest extends PullTexts {
  readonly isLite: boolean;
  readonly opaque: number;
  readonly queueId: number;
  readonly offset: number;
  readonly messagesMax: number;
  readonly sysFlag: number;
  /** -1 = none. */
  readonly commitOffset: number;
  readonly suspendMs: number;
  readonly subVersion: number;
}

/** @throws DrError with response code 1 when a field is missing or no number */
export function decodedPull(request: RemotingCommand): PullRequest {
  const { subscription, expressionType } = request.ext;
  return {
    topic: textField(request, 'topic'),
    group: textField(request, 'consumerGroup'),
    subscription,
    expressionType,
    isLite: request.code === RequestCode.LITE_PULL_MESSAGE,
    opaque: request.opaque,
    queueId: numberField(request, 'queueId'),
    offset: numberField(request, 'queueOffset'),
    messagesMax: numberField(request, 'maxMsgNums'),
    sysFlag: numberField(request, 'sysFlag'),
    commitOffset: numberField(request, 'commitOffset', -1),
    suspendMs: numberField(request, 'suspendTimeoutMillis', 0),
    subVersion: numberField(request, 'subVersion', 0),
  };
}

interface KnownTexts extends PullTexts {
  /** All four in a row, as they stand in the header. */
  readonly bytes: Buffer;
  readonly lengths: readonly number[];
}

/** Reads pulls out of frames. */
export class PullReader {
  readonly #view: PullRequestView;
  readonly #known = new Map<number, KnownTexts>();
  readonly #starts = new Int32Array(4);
  readonly #lengths = new Int32Array(4);

  constructor(view: PullRequestView) {
    this.#view = view;
  }

  /** The pull in [start, end); undefined for anything else, and for a pull that must be decoded. */
  read(chunk: Buffer, start: number, end: number): PullRequest | undefined {
    const view = this.#view;
    if (!scanPullRequest(chunk, start, end, view) || view.isOneway) return undefined;
    const texts = this.#texts(chunk, view);
    if (texts === undefined) return undefined;
    return {
      topic: texts.topic,
      group: texts.group,
      subscription: texts.subscription,
      expressionType: texts.expressionType,
      isLite: view.code === RequestCode.LITE_PULL_MESSAGE,
      opaque: view.opaque,
      queueId: view.queueId,
      offset: view.queueOffset,
      messagesMax: view.maxMsgNums,
      sysFlag: view.sysFlag,
      commitOffset: view.commitOffset,
      suspendMs: view.suspendTimeoutMs,
      subVersion: view.subVersion,
    };
  }

  #texts(chunk: Buffer, view: PullRequestView): KnownTexts | undefined {
    if (view.topicLength === 0 || view.groupLength === 0) return undefined;
    const starts = this.#starts;
    const lengths = this.#lengths;
    starts[0] = view.topicStart;
    starts[1] = view.groupStart;
    starts[2] = view.subscriptionStart;
    starts[3] = view.expressionTypeStart;
    lengths[0] = view.topicLength;
    lengths[1] = view.groupLength;
    lengths[2] = view.subscriptionLength;
    lengths[3] = view.expressionTypeLength;
    let hash = 0x811c9dc5;
    for (let i = 0; i < 4; i++) {
      const end = starts[i]! + lengths[i]!;
      hash = Math.imul(hash ^ (starts[i]! < 0 ? 0x100 : 0x101), 0x01000193);
      for (let at = starts[i]!; at < end; at++) hash = Math.imul(hash ^ chunk[at]!, 0x01000193);
    }
    const known = this.#known.get(hash);
    return known !== undefined && this.#isSame(known, chunk) ? known : this.#learn(chunk, hash);
  }

  #isSame({ bytes, lengths }: KnownTexts, chunk: Buffer): boolean {
    let from = 0;
    for (let i = 0; i < 4; i++) {
      const start = this.#starts[i]!;
      const length = this.#lengths[i]!;
      if (lengths[i] !== (start < 0 ? -1 : length)) return false;
      for (let k = 0; k < length; k++) if (bytes[from + k] !== chunk[start + k]) return false;
      from += length;
    }
    return true;
  }

  #learn(chunk: Buffer, hash: number): KnownTexts | undefined {
    const ranges = [0, 1, 2, 3].map((i) => {
      const start = this.#starts[i]!;
      return start < 0 ? undefined : chunk.subarray(start, start + this.#lengths[i]!);
    });
    const bytes = keptBytes(...ranges.filter((range) => range !== undefined));
    if (bytes.length > TEXT_BYTES_MAX) return undefined;
    // Why all at once: who fills the table with made-up names costs the others one decoding each.
    if (this.#known.size >= TEXTS_MAX) this.#known.clear();
    const [topic = '', group = '', subscription, expressionType] = ranges.map((range) =>
      range?.toString('utf8'),
    );
    const lengths = ranges.map((range) => range?.length ?? -1);
    const learned = { topic, group, subscription, expressionType, bytes, lengths };
    this.#known.set(hash, learned);
    return learned;
  }
}
