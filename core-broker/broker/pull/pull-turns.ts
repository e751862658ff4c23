// Gives pulls their share of the loop. A pull that came or woke stands in line here; each turn of the loop
// answers what fits into a short slice, after what was sent in that turn was written and acknowledged. So
// no number of readers keeps a sender waiting for more than one slice. A pull whose messages lie on disk
// only leaves the line until the thread pool has read them.
// Invariant: a pull is answered once, or held, or its connection is gone. One connection has at most
// LINE_MAX pulls in line; what it sends beyond that is answered at once, as part of its own reading.
// Source: ours.
import type { Clock } from '../../base/index.ts';
import type { ServerConnection } from '../../remoting/index.ts';
import type { PullRequest } from './pull-request.ts';

/** Time and bytes of answers in one slice; the bytes leave in the same turn, which takes as long again. */
const SLICE = { ms: 1, bytes: 1024 * 1024 };
/** The same while somebody sends: about what the sends of a usual turn take. */
const SHORT_SLICE = { ms: 0.25, bytes: 256 * 1024 };
/** A Java client pulls hundreds of queues over one connection. */
const LINE_MAX = 1_024;
/** A connection with more unsent bytes waits: it does not read as fast as it asks. */
const UNSENT_BYTES_MAX = 8 * 1024 * 1024;
/** When it is looked at again. */
const ASIDE_MS = 5;
/** A pull asks for its bytes this often: entries, records, and once more when they were pushed out. */
const LOADS_MAX = 4;

/** What may become of a pull that finds nothing. */
export type PullPass =
  /** It is held. */
  | 'first'
  /** A message woke it: it is held again only when a filter refused all. */
  | 'woken'
  /** It is answered, whatever comes out. */
  | 'last';

export interface TurnPull {
  connection: ServerConnection;
  request: PullRequest;
  /** Where to read: a held pull may have moved on. */
  offset: number;
}

interface Standing<P> {
  pull: P;
  pass: PullPass;
  loads: number;
}

export interface PullTurnsOptions<P> {
  clock: Clock;
  /** Runs something in a turn of the loop, behind what was sent in it. */
  afterWrites: (run: () => void) => void;
  /** Moves when somebody sends. */
  logEnd: () => number;
  /**
   * Answers or holds a pull, or, when it may, has its bytes read from disk first and says when they are
   * there; that never rejects.
   * @returns bytes written
   */
  answer: (pull: P, pass: PullPass, mayLoad: boolean) => number | Promise<void>;
}

export class PullTurns<P extends TurnPull> {
  readonly #options: PullTurnsOptions<P>;
  #line: Standing<P>[] = [];
  /** Waiting for the disk. */
  readonly #loading = new Set<Standing<P>>();
  /** Waiting for their connections to take what was written. */
  #aside: Standing<P>[] = [];
  /** First passes in line, loading or aside, by connection. */
  readonly #counts = new Map<ServerConnection, number>();
  #isScheduled = false;
  #logEnd = 0;

  constructor(options: PullTurnsOptions<P>) {
    this.#options = options;
  }

  get waiting(): number {
    return this.#line.length + this.#loading.size + this.#aside.length;
  }

  /** A pull that has just come. */
  take(pull: P): void {
    const count = this.#counts.get(pull.connection) ?? 0;
    if (count >= LINE_MAX) {
      void this.#options.answer(pull, 'first', false);
      return;
    }
    this.#counts.set(pull.connection, count + 1);
    this.#line.push({ pull, pass: 'first', loads: 0 });
    this.#schedule();
  }

  /** A held pull: it is answered at the end of this round, or in a later turn. */
  wake(pull: P, pass: 'woken' | 'last'): void {
    this.#line.push({ pull, pass, loads: 0 });
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(this.#turn);
  }

  /** Answers all that wait, or those of one connection, now and for the last time. */
  answerAll(of?: ServerConnection): void {
    const isMeant = ({ pull }: Standing<P>) => of === undefined || pull.connection === of;
    const loading = [...this.#loading].filter(isMeant);
    for (const each of loading) this.#loading.delete(each);
    const line = [...this.#line, ...this.#aside];
    this.#line = this.#line.filter((each) => !isMeant(each));
    this.#aside = this.#aside.filter((each) => !isMeant(each));
    for (const each of [...line.filter(isMeant), ...loading]) {
      this.#leave(each);
      if (each.pull.connection.isOpen) void this.#options.answer(each.pull, 'last', false);
    }
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#options.afterWrites(this.#turn);
  }

  /** Answers in order, at least one; what is left has the next turn. */
  readonly #turn = (): void => {
    this.#isScheduled = false;
    const { clock } = this.#options;
    const slice = this.#slice();
    const endMs = clock.monotonicMs() + slice.ms;
    const line = this.#line;
    this.#line = [];
    let bytes = 0;
    let done = 0;
    while (done < line.length) {
      bytes += this.#answer(line[done++]!);
      if (bytes >= slice.bytes || clock.monotonicMs() >= endMs) break;
    }
    if (done < line.length) this.#line = line.slice(done).concat(this.#line);
    if (this.#line.length > 0) this.#schedule();
  };

  readonly #comeBack = (): void => {
    this.#line.push(...this.#aside.splice(0));
    if (this.#line.length > 0) this.#schedule();
  };

  #slice(): typeof SLICE {
    const logEnd = this.#options.logEnd();
    const isSending = logEnd !== this.#logEnd;
    this.#logEnd = logEnd;
    return isSending ? SHORT_SLICE : SLICE;
  }

  #answer(standing: Standing<P>): number {
    const { pull, pass, loads } = standing;
    if (!pull.connection.isOpen) {
      this.#leave(standing);
      return 0;
    }
    if (pull.connection.output.unsentBytes > UNSENT_BYTES_MAX) {
      if (this.#aside.push(standing) === 1) setTimeout(this.#comeBack, ASIDE_MS);
      return 0;
    }
    const answered = this.#options.answer(pull, pass, loads < LOADS_MAX);
    if (typeof answered === 'number') this.#leave(standing);
    else this.#wait(standing, answered);
    return typeof answered === 'number' ? answered : 0;
  }

  /** The pull comes back into line when what it needs was read. */
  #wait(standing: Standing<P>, loaded: Promise<void>): void {
    standing.loads++;
    this.#loading.add(standing);
    void loaded.then(() => {
      // Gone when somebody wanted all answers at once.
      if (!this.#loading.delete(standing)) return;
      this.#line.push(standing);
      this.#schedule();
    });
  }

  #leave({ pull, pass }: Standing<P>): void {
    if (pass !== 'first') return;
    const left = (this.#counts.get(pull.connection) ?? 1) - 1;
    if (left > 0) this.#counts.set(pull.connection, left);
    else this.#counts.delete(pull.connection);
  }
}
