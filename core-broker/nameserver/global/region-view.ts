// What one region's name servers say, kept so that it can be answered at once and when they are gone.
// Freshness is the age of the *question*: an answer counts from the moment it was asked for, so that
// nothing asked before a flip can pass for an answer after it. Three sources, in this order: a fresh
// entry, the region itself, the last known answer. Bounded: entries by count, polls by number and width.
// Source: ours.
import type { Clock } from '../../base/index.ts';
import { type RemotingCommand, RequestCode, ResponseCode } from '../../protocol/index.ts';
import type { RegionLink } from './region-link.ts';

/** What is known about one question: a body, or the certainty that there is none. */
export type Known = { kind: 'body'; body: string } | { kind: 'absent' };
export type Answer = Known | { kind: 'unreachable' };

interface Entry {
  known: Known | undefined;
  /** Monotonic ms at which the question behind `known` was asked; -Infinity = from the file. */
  askedMs: number;
  /** Last time a client wanted it. */
  wantedMs: number;
  inFlight: { startedMs: number; done: Promise<void> } | undefined;
}

const ENTRIES_MAX = 20_000;
const POLLS_PER_ROUND_MAX = 1_000;
const POLL_WIDTH = 16;
/** A topic nobody asked for this long is no longer polled; its last answer stays. */
const WANTED_MS = 10 * 60_000;

/** Questions beside routes have keys that no topic can have. */
export const CLUSTER_KEY = ' cluster';
export const TOPICS_KEY = ' topics';
export const DEFAULT_TOPIC = 'TBW102';

export class RegionView {
  readonly link: RegionLink;
  readonly #clock: Clock;
  readonly #freshMs: number;
  readonly #entries = new Map<string, Entry>();
  #revision = 0;
  /** Entries asked before this are never fresh. */
  #floorMs = Number.NEGATIVE_INFINITY;

  /** @param freshMs how old an entry may be to be answered without asking again */
  constructor(link: RegionLink, options: { clock: Clock; freshMs: number }) {
    this.link = link;
    this.#clock = options.clock;
    this.#freshMs = options.freshMs;
    for (const key of [CLUSTER_KEY, TOPICS_KEY, DEFAULT_TOPIC]) this.#entry(key);
  }

  /** Grows whenever something known changed; tells when the file is out of date. */
  get revision(): number {
    return this.#revision;
  }

  /**
   * Answers one question.
   * @param notBeforeMs monotonic ms: an entry asked earlier is not fresh (the moment of a flip)
   */
  async answer(key: string, notBeforeMs: number): Promise<Answer> {
    const entry = this.#entry(key);
    const now = this.#clock.monotonicMs();
    entry.wantedMs = now;
    const floor = Math.max(notBeforeMs, this.#floorMs);
    const isFresh = entry.askedMs >= Math.max(now - this.#freshMs, floor);
    if (!isFresh && (this.link.isUp || !entry.known)) await this.#refresh(key, entry, floor);
    return entry.known ?? { kind: 'unreachable' };
  }

  /** One poll: cluster, topics and the wanted routes, oldest first. Never rejects. */
  async poll(): Promise<void> {
    const now = this.#clock.monotonicMs();
    await this.#refresh(CLUSTER_KEY, this.#entry(CLUSTER_KEY), now);
    if (!this.link.isUp) return;
    const due = [...this.#entries]
      .filter(([key, entry]) => key !== CLUSTER_KEY && this.#isWanted(key, entry, now))
      .sort(([, left], [, right]) => left.askedMs - right.askedMs)
      .slice(0, POLLS_PER_ROUND_MAX);
    const workers = Array.from({ length: POLL_WIDTH }, async () => {
      for (let next = due.shift(); next && this.link.isUp; next = due.shift()) {
        await this.#refresh(next[0], next[1], now);
      }
    });
    await Promise.all(workers);
  }

  #isWanted(key: string, entry: Entry, now: number): boolean {
    return key === TOPICS_KEY || key === DEFAULT_TOPIC || now - entry.wantedMs < WANTED_MS;
  }

  /** Everything stored counts as old from now on: a change was relayed. */
  expire(): void {
    this.#floorMs = this.#clock.monotonicMs();
  }

  /** Known answers by key, for the file. */
  *known(): Iterable<[string, Known]> {
    for (const [key, entry] of this.#entries) if (entry.known) yield [key, entry.known];
  }

  /** Puts back what a file held: last known answers, never fresh. */
  restore(known: Iterable<[string, Known]>): void {
    for (const [key, value] of known) this.#entry(key).known = value;
  }

  #entry(key: string): Entry {
    const found = this.#entries.get(key);
    if (found) {
      if (!key.startsWith(' ')) {
        // Keeps the map in order of use: the first entry is the one to forget.
        this.#entries.delete(key);
        this.#entries.set(key, found);
      }
      return found;
    }
    const never = Number.NEGATIVE_INFINITY;
    const made: Entry = { known: undefined, askedMs: never, wantedMs: never, inFlight: undefined };
    this.#entries.set(key, made);
    if (this.#entries.size > ENTRIES_MAX) this.#forgetOldest();
    return made;
  }

  #forgetOldest(): void {
    for (const key of this.#entries.keys()) {
      if (key.startsWith(' ') || key === DEFAULT_TOPIC) continue;
      this.#entries.delete(key);
      return;
    }
  }

  /** Asks the region, joining a question that is on its way unless it is older than allowed. */
  async #refresh(key: string, entry: Entry, notBeforeMs: number): Promise<void> {
    if (entry.inFlight && entry.inFlight.startedMs >= notBeforeMs) return entry.inFlight.done;
    const startedMs = this.#clock.monotonicMs();
    const flight = { startedMs, done: this.#fetch(key, entry, startedMs) };
    entry.inFlight = flight;
    await flight.done;
    if (entry.inFlight === flight) entry.inFlight = undefined;
  }

  async #fetch(key: string, entry: Entry, startedMs: number): Promise<void> {
    let known: Known | undefined;
    try {
      known = knownOf(await this.link.ask(questionOf(key)));
    } catch {
      // The link has marked the region down; the last known answer stays.
      return;
    }
    // Order: two questions may be on their way; only the later one counts.
    if (known === undefined || startedMs < entry.askedMs) return;
    entry.askedMs = startedMs;
    if (sameKnown(entry.known, known)) return;
    entry.known = known;
    this.#revision++;
  }
}

function questionOf(key: string) {
  if (key === CLUSTER_KEY) return { code: RequestCode.GET_BROKER_CLUSTER_INFO };
  if (key === TOPICS_KEY) return { code: RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER };
  return {
    code: RequestCode.GET_ROUTEINFO_BY_TOPIC,
    ext: { topic: key, acceptStandardJsonOnly: true },
  };
}

/** Undefined = the name server cannot say now (starting, overloaded): not an answer. */
function knownOf(answer: RemotingCommand): Known | undefined {
  if (answer.code === ResponseCode.TOPIC_NOT_EXIST) return { kind: 'absent' };
  if (answer.code !== ResponseCode.SUCCESS || !answer.body) return undefined;
  return { kind: 'body', body: answer.body.toString('utf8') };
}

function sameKnown(left: Known | undefined, right: Known): boolean {
  if (left?.kind === 'body' && right.kind === 'body') return left.body === right.body;
  return left?.kind === right.kind;
}
