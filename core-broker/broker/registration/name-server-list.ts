// Which name servers this broker registers with. Three sources, as in Apache: the fixed list of
// namesrvAddr (read anew each time, so that a live change counts), the same list with each host name
// resolved to all its addresses, or without a list the HTTP address server.
// Invariant: a source that fails or answers nonsense leaves the last good list in use.
// Source: BrokerOuterAPI and DefaultTopAddressing of Apache, behaviour only.
import * as dns from 'node:dns/promises';
import { createLog, DrError, LoopSet, parseHostPort, sleep } from '../../base/index.ts';
import type { BrokerConfig } from '../config/index.ts';

const log = createLog('broker');
const FETCH_TIMEOUT_MS = 3_000;
const ANSWER_BYTES_MAX = 64 * 1024;

export type Resolve = (host: string) => Promise<string[]>;

const resolveAll: Resolve = async (host) => {
  const found = await dns.lookup(host, { all: true });
  return found.map(({ address, family }) => (family === 6 ? `[${address}]` : address));
};

export class NameServerList {
  readonly #config: BrokerConfig;
  readonly #resolve: Resolve;
  readonly #changed: () => void;
  readonly #loops = new LoopSet((reason) => {
    log.error('nameservers.stuck', reason.message, {});
  });
  #found: string[] = [];
  #isFailing = false;

  /** @param changed called when a lookup gave another list */
  constructor(config: BrokerConfig, changed: () => void, resolve: Resolve = resolveAll) {
    this.#config = config;
    this.#changed = changed;
    this.#resolve = resolve;
  }

  get current(): string[] {
    const { namesrvAddr, fetchNameSrvAddrByDnsLookup: byDns } = this.#config;
    if (this.#found.length > 0 && (byDns || namesrvAddr === '')) return this.#found;
    return split(namesrvAddr);
  }

  /** Asks the source once, if there is one, and goes on asking in the background. */
  async start(): Promise<void> {
    const { namesrvAddr, fetchNamesrvAddrByAddressServer: byServer } = this.#config;
    const isLookedUp = this.#config.fetchNameSrvAddrByDnsLookup || (namesrvAddr === '' && byServer);
    if (!isLookedUp) return;
    await this.#look();
    this.#loops.run('name servers', (signal) => this.#lookForever(signal));
  }

  stop(): Promise<void> {
    return this.#loops.stop();
  }

  async #lookForever(signal: AbortSignal): Promise<void> {
    for (;;) {
      const { namesrvAddr, updateNameServerAddrPeriod, fetchNamesrvAddrInterval } = this.#config;
      await sleep(
        namesrvAddr === '' ? fetchNamesrvAddrInterval : updateNameServerAddrPeriod,
        signal,
      );
      if (signal.aborted) return;
      if (await this.#look()) this.#changed();
    }
  }

  /** @returns true when the list is another one now */
  async #look(): Promise<boolean> {
    const { namesrvAddr, fetchNameSrvAddrByDnsLookup: byDns } = this.#config;
    try {
      if (namesrvAddr !== '' && !byDns) return this.#take([]);
      const found = namesrvAddr === '' ? await this.#ask() : await this.#lookUp(split(namesrvAddr));
      this.#isFailing = false;
      return this.#take(found);
    } catch (reason) {
      const error = DrError.from(reason).message;
      if (!this.#isFailing) {
        log.warn('nameservers.unknown', 'name servers could not be looked up', { error });
      }
      this.#isFailing = true;
      return false;
    }
  }

  #take(found: string[]): boolean {
    if (found.join(';') === this.#found.join(';')) return false;
    log.info('nameservers.changed', 'name servers', { from: this.#found, to: found });
    this.#found = found;
    return true;
  }

  async #lookUp(entries: string[]): Promise<string[]> {
    const lists = await Promise.all(
      entries.map(async (entry) => {
        const parsed = parseHostPort(entry);
        if (!parsed) return [];
        const addresses = await this.#resolve(parsed.host);
        return addresses.map((address) => `${address}:${parsed.port}`);
      }),
    );
    return usable(lists.flat());
  }

  async #ask(): Promise<string[]> {
    const { rmqAddressServerDomain: domain, rmqAddressServerSubGroup: group } = this.#config;
    const host = domain.includes(':') ? domain : `${domain}:8080`;
    const url = `http://${host}/rocketmq/${group}`;
    const answer = await fetch(url, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    if (answer.status !== 200) throw new DrError('REMOTE', `${url} answered ${answer.status}`);
    const [line = ''] = (await firstBytes(answer)).trim().split(/[\r\n]/);
    return usable(split(line));
  }
}

const split = (list: string): string[] =>
  list
    .split(';')
    .map((address) => address.trim())
    .filter((address) => address !== '');

/** @throws DrError PROTOCOL: a list with one bad entry is not trusted at all */
function usable(addresses: string[]): string[] {
  const bad = addresses.find((address) => !parseHostPort(address));
  if (bad !== undefined) throw new DrError('PROTOCOL', `'${bad}' is not host:port`);
  if (addresses.length === 0) throw new DrError('PROTOCOL', 'the list of name servers is empty');
  return [...new Set(addresses)].sort();
}

/** Why not text(): what the other side sends is not bounded by it. */
async function firstBytes(answer: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of answer.body ?? []) {
    parts.push(part);
    size += part.length;
    if (size > ANSWER_BYTES_MAX) throw new DrError('PROTOCOL', 'the address server sends too much');
  }
  return Buffer.concat(parts).toString('utf8');
}
