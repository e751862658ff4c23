// Calls to the name servers of one region: any of them will do, the one that answered last comes first.
// Invariant: a region that does not answer costs each caller at most ASK_TIMEOUT_MS, and nothing while
// it is known to be down (the poller finds it again). Source: ours.
import { createLog, DrError, gauge } from '../../base/index.ts';
import type { PeerClient } from '../../client/index.ts';
import { type RemotingCommand, type RequestInit, ResponseCode } from '../../protocol/index.ts';

const log = createLog('nameserver.global');

/** Per name server; a client gives a route request 3 s in all. */
const ASK_TIMEOUT_MS = 800;
const WRITE_TIMEOUT_MS = 3_000;

const up = gauge({
  name: 'dr_global_region_up',
  help: '1 while a name server of the region answers',
  labelNames: ['region'],
});

export class RegionLink {
  readonly region: string;
  readonly #addresses: string[];
  readonly #peer: PeerClient;
  #preferred = 0;
  #isUp = true;

  constructor(region: string, addresses: string[], peer: PeerClient) {
    this.region = region;
    this.#addresses = addresses;
    this.#peer = peer;
    up.set({ region }, 1);
  }

  /** False after a round in which no name server of the region answered. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /**
   * Asks one name server, the next one when it does not answer. "No such topic" from one is checked
   * with the others: it may have been restarted and not know its brokers yet.
   * @throws DrError UNREACHABLE when none answers
   */
  async ask(request: RequestInit): Promise<RemotingCommand> {
    let unknown: RemotingCommand | undefined;
    let last: unknown;
    for (let step = 0; step < this.#addresses.length; step++) {
      const index = (this.#preferred + step) % this.#addresses.length;
      try {
        const address = this.#addresses[index] ?? '';
        const answer = await this.#peer.invoke(address, request, ASK_TIMEOUT_MS);
        this.#mark(true);
        if (answer.code !== ResponseCode.TOPIC_NOT_EXIST) {
          this.#preferred = index;
          return answer;
        }
        unknown ??= answer;
      } catch (reason) {
        last = reason;
      }
    }
    if (unknown) return unknown;
    this.#mark(false);
    throw new DrError('UNREACHABLE', `no name server of region ${this.region} answers`, {
      cause: last,
      context: { region: this.region, addresses: this.#addresses },
    });
  }

  /**
   * Sends a change to every name server of the region: they do not talk to each other.
   * @returns the first answer when all took it, else the first refusal
   * @throws DrError NETWORK or TIMEOUT when one could not be told; the others may have taken it
   */
  async tellAll(request: RequestInit): Promise<RemotingCommand> {
    const answers = await Promise.all(
      this.#addresses.map((address) => this.#peer.invoke(address, request, WRITE_TIMEOUT_MS)),
    );
    const refusal = answers.find((answer) => answer.code !== 0);
    const chosen = refusal ?? answers[0];
    if (!chosen) throw new DrError('UNREACHABLE', `region ${this.region} has no name server`);
    return chosen;
  }

  #mark(isUp: boolean): void {
    if (isUp === this.#isUp) return;
    this.#isUp = isUp;
    up.set({ region: this.region }, isUp ? 1 : 0);
    const text = isUp ? 'name servers answer again' : 'no name server answers';
    log[isUp ? 'info' : 'warn'](`region.${isUp ? 'up' : 'down'}`, text, { region: this.region });
  }
}
