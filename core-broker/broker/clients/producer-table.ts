// Who produces: group -> connections, as heartbeats say. Used by the connection list and by
// transaction checks, which take the connections of a group in turn. Source: RocketMQ ProducerManager, behaviour only.
import type { ServerConnection } from '../../remoting/index.ts';
import type { ClientChannel } from './consumer-table.ts';

export class ProducerTable {
  readonly #groups = new Map<string, Map<number, ClientChannel>>();
  /** Client id -> the connection of its newest heartbeat. */
  readonly #clients = new Map<string, ClientChannel>();
  #turn = 0;

  register(group: string, channel: ClientChannel): void {
    this.#clients.set(channel.clientId, channel);
    const channels = this.#groups.get(group);
    if (channels) channels.set(channel.connection.id, channel);
    else this.#groups.set(group, new Map([[channel.connection.id, channel]]));
  }

  unregister(group: string, connection: ServerConnection): void {
    const channels = this.#groups.get(group);
    const clientId = channels?.get(connection.id)?.clientId ?? '';
    const isNewest = this.#clients.get(clientId)?.connection === connection;
    if (isNewest) this.#clients.delete(clientId);
    channels?.delete(connection.id);
    if (channels?.size === 0) this.#groups.delete(group);
  }

  forget(connection: ServerConnection): void {
    for (const group of [...this.#groups.keys()]) this.unregister(group, connection);
  }

  /** The producer with this client id, or undefined. */
  channelOf(clientId: string): ClientChannel | undefined {
    return this.#clients.get(clientId);
  }

  channels(group: string): ClientChannel[] | undefined {
    const channels = this.#groups.get(group);
    return channels && [...channels.values()];
  }

  /** One live channel of the group, another one each time; none that leaves its input unread. */
  next(group: string, unreadBytesMax: number): ClientChannel | undefined {
    const channels = this.#groups.get(group);
    if (channels === undefined) return undefined;
    const ready = [...channels.values()].filter(
      ({ connection }) => connection.isOpen && connection.output.unsentBytes <= unreadBytesMax,
    );
    return ready[this.#turn++ % ready.length];
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
