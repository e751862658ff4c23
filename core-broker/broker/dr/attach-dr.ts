// Adds the DR side to a broker: with options the whole of it, without them only the HA port.
// A plain broker has no epochs: it is active from the first moment and delivers delayed messages.
import { Perm, RequestCode } from '../../protocol/index.ts';
import type { DrBrokerOptions } from '../door.ts';
import { HaServer, haStatus } from '../ha/index.ts';
import type { AttachDr, BrokerParts, DrAttachment } from '../parts.ts';
import { DrBroker } from './dr-broker.ts';

/** @throws DrError CONFIG (allow-list of the HA port) */
export const attachDr = ((parts: BrokerParts, options: DrBrokerOptions | undefined) => {
  const { config, store } = parts;
  const ha = new HaServer({
    store,
    fileSize: config.mappedFileSizeCommitLog,
    bindAddress: config.bindAddress,
    port: config.haListenPort,
    allow: options?.haAllow ?? [],
    frameBytes: config.haTransferBatchSize,
    heartbeatMs: () => config.haSendHeartbeatInterval,
    silenceMs: () => config.haHousekeepingInterval,
  });
  // A follower that has not read anything yet says nothing about what it needs.
  store.keepFor(() => {
    const known = ha.peers.map((peer) => peer.ackOffset).filter((offset) => offset > 0);
    return known.length === 0 ? undefined : Math.min(...known);
  });
  parts.requests.on(RequestCode.GET_BROKER_HA_STATUS, () => haStatus(ha, store));
  return options === undefined ? new PlainAttachment(parts, ha) : new DrBroker(parts, options, ha);
}) satisfies AttachDr;

class PlainAttachment implements DrAttachment {
  readonly sink = undefined;
  readonly metadataSink = undefined;
  readonly #parts: BrokerParts;
  readonly #ha: HaServer;

  constructor(parts: BrokerParts, ha: HaServer) {
    this.#parts = parts;
    this.#ha = ha;
  }

  get haAddress(): string {
    return `${this.#parts.config.brokerIP2}:${this.#ha.port}`;
  }

  async start(): Promise<void> {
    const { registration, schedule } = this.#parts;
    await this.#ha.start();
    schedule.start();
    // The role allows everything; the registration masks with brokerPermission, which may change live.
    registration.setRole({ stateVersion: 0, permission: Perm.READ | Perm.WRITE });
    void registration.registerNow();
  }

  async stop(): Promise<void> {
    this.#parts.schedule.stop();
    await this.#ha.stop();
  }

  status(): undefined {
    return undefined;
  }

  drHealth() {
    return { ready: true, reasons: [] };
  }

  useLink(): void {
    // A plain broker follows nobody; the composition root wires a link only with a dr section.
  }
}
