// Who produces: group -> connections, as heartbeats say. Used by the connection list and, later, by
// transaction checks. Source: RocketMQ ProducerManager, behaviour only.
import type { ServerConnection } from '../../remoting/index.ts';
import type { ClientChannel } from './consumer-table.ts';

export class ProducerTable {
  readonly #groups = new Map<string, Map<number, ClientChannel>>();

  register(group: string, channel: ClientChannel): void {
    const channels = this.#groups.get(group);
    if (channels) channels.set(channel.connection.id, channel);
    else this.#groups.set(group, new Map([[channel.connection.id, channel]]));
  }

  unregister(group: string, connection: ServerConnection): void {
    const channels = this.#groups.get(group);
    channels?.delete(connection.id);
    if (channels?.size === 0) this.#groups.delete(group);
  }

  forget(connection: ServerConnection): void {
    for (const group of [...this.#groups.keys()]) this.unregister(group, connection);
  }

  channels(group: string): ClientChannel[] | undefined {
    const channels = this.#groups.get(group);
    return channels && [...channels.values()];
  }

  groups(): Iterable<[string, ClientChannel[]]> {
    return [...this.#groups].map(([name, channels]) => [name, [...channels.values()]]);
  }

  /** Channels without a heartbeat since `beforeMs`. */
  silentSince(beforeMs: number): ClientChannel[] {
    return [...this.#groups.values()]
      .flatMap((channels) => [...channels.values()])
      .filter((channel) => channel.lastUpdateMs < beforeMs);
  }
}
