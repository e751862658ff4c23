// A sealed side as a gateway: each client connection gets its own upstream connection to the promoted
// broker, then bytes flow both ways, unparsed.
//   untouched -> connecting (frames wait in the parking) -> spliced (the broker has forgotten it)
//   untouched -> local (its first frame was a DR request: never relayed)
//   untouched -> leaving (its gateway takes it over by itself: release.ts)
// Order on the upstream: last heartbeat (so that the group is known there, sent oneway because nobody
// waits for its answer), then the parked frames in their order, then live bytes.
// Invariant: a frame is either answered here or sent upstream, never both; a connection is handed over
// only when no reply of ours is outstanding. A client whose upstream cannot be reached keeps waiting in
// the parking and is refused with code 16 when its time is up. Source: switchover "What clients see".
import type * as net from 'node:net';
import { createLog, DrError, gauge, sleep } from '../../../base/index.ts';
import { DR_CODE, decodeCommand } from '../../../protocol/index.ts';
import {
  openSocket,
  processIdentity,
  type ServerConnection,
  type Splice,
  splice,
} from '../../../remoting/index.ts';
import type { Admission } from '../../admission.ts';
import type { BrokerParts } from '../../parts.ts';
import type { Parking } from '../parking.ts';
import { RelayFile, type RelayTarget, splitAddress } from './relay-file.ts';
import { onewayOf, releaseConnection, settled } from './release.ts';

const log = createLog('dr');
const CONNECT_TIMEOUT_MS = 1000;
const CONNECT_AGAIN_MS = 100;

/** Kept in ClientSession.relay. */
type Mark = 'local' | 'connecting' | 'leaving' | undefined;

export interface RelayParts {
  parts: BrokerParts;
  parking: Parking;
  rootDir: string;
  /** Sets or clears the hook that sees every frame first. */
  setIntercept(hook: Admission['intercept']): void;
}

export class Relay {
  readonly #with: RelayParts;
  readonly #file: RelayFile;
  readonly #splices = new Set<Splice>();
  #target: RelayTarget | undefined;

  constructor(parts: RelayParts) {
    this.#with = parts;
    this.#file = new RelayFile(parts.rootDir);
    gauge({
      name: 'dr_relay_connections',
      help: 'client connections spliced to the active region',
      collect: (self) => self.set(this.#splices.size),
    });
  }

  get target(): RelayTarget | undefined {
    return this.#target;
  }

  get connections(): number {
    return this.#splices.size;
  }

  /** Goes on after a restart; only a side that takes no writes of its own may. */
  restore(): void {
    const target = this.#file.load();
    if (target === undefined) return;
    if (this.#mayRelay()) this.#begin(target);
    else this.#file.remove();
  }

  /** Idempotent. @throws DrError REFUSED (this side writes), USAGE (target) */
  start(target: RelayTarget): void {
    if (splitAddress(target.target) === undefined) {
      throw new DrError('USAGE', `relay target '${target.target}' is not host:port`);
    }
    if (target.target === this.#with.parts.advertised()) {
      throw new DrError('REFUSED', 'the relay target is this broker itself');
    }
    if (!this.#mayRelay()) {
      const { writeState } = this.#with.parts.store.guard;
      throw new DrError('REFUSED', `a side that is ${writeState} does not relay`);
    }
    this.#file.save(target);
    this.#begin(target);
  }

  /** Ends the relay; clients that still use it are cut off and connect anew. */
  stop(): void {
    this.close();
    this.#file.remove();
  }

  /** Cuts everything without forgetting the target (process stop). */
  close(): void {
    this.#with.setIntercept(undefined);
    this.#target = undefined;
    for (const joined of this.#splices) joined.close();
  }

  /** A DR request came over this connection: it is never relayed. */
  keepLocal(connection: ServerConnection): void {
    const session = this.#with.parts.frames.sessionOf(connection);
    if (session.relay !== 'connecting') session.relay = 'local' satisfies Mark;
  }

  /** Its gateway goes on with this client elsewhere. */
  release(connection: ServerConnection): void {
    this.#with.parts.frames.sessionOf(connection).relay = 'leaving' satisfies Mark;
    void releaseConnection(connection, this.#with).catch((reason: unknown) => {
      log.error('relay.failed', DrError.from(reason).message, { peer: connection.remoteAddress });
      connection.close();
    });
  }

  #mayRelay(): boolean {
    const state = this.#with.parts.store.guard.writeState;
    return state === 'sealed' || state === 'deposed' || state === 'standby';
  }

  #begin(target: RelayTarget): void {
    const isMoved = this.#target !== undefined && this.#target.target !== target.target;
    this.#target = target;
    log.info('relay.started', 'clients are spliced to the active region', { ...target });
    if (isMoved) for (const joined of this.#splices) joined.close();
    const { parts } = this.#with;
    this.#with.setIntercept((connection, chunk, start, end) =>
      this.#onFrame(connection, chunk, start, end),
    );
    parts.pulls.answerAll();
    for (const connection of [...parts.frames.connections()]) {
      const session = parts.frames.sessionOf(connection);
      // A connection that was silent so far may yet turn out to be a controller's.
      const isClient = session.lastHeartbeat !== undefined || this.#with.parking.has(connection);
      if (session.relay === undefined && isClient) this.#adopt(connection);
    }
  }

  #onFrame(connection: ServerConnection, chunk: Buffer, start: number, end: number): boolean {
    const session = this.#with.parts.frames.sessionOf(connection);
    const mark = session.relay as Mark;
    if (mark === 'local') return false;
    if (mark === undefined && isDrRequest(chunk, start, end)) {
      session.relay = 'local' satisfies Mark;
      return false;
    }
    const frame = Buffer.from(chunk.subarray(start, end));
    const nowMs = this.#with.parts.clock.monotonicMs();
    if (!this.#with.parking.park(connection, frame, nowMs)) return false;
    if (mark === undefined) this.#adopt(connection);
    return true;
  }

  #adopt(connection: ServerConnection): void {
    this.#with.parts.frames.sessionOf(connection).relay = 'connecting' satisfies Mark;
    void this.#handOver(connection).catch((reason: unknown) => {
      log.error('relay.failed', DrError.from(reason).message, { peer: connection.remoteAddress });
      connection.close();
    });
  }

  async #handOver(connection: ServerConnection): Promise<void> {
    const { parts, parking } = this.#with;
    const session = parts.frames.sessionOf(connection);
    const { upstream, target } = await this.#connect(connection);
    await settled(connection, parts);
    // The relay may have ended, or begun anew to another region, while we connected or waited.
    if (upstream === undefined || !connection.isOpen || this.#target !== target) {
      session.relay = undefined;
      upstream?.destroy();
      if (connection.isOpen && this.#target !== undefined) this.#adopt(connection);
      return;
    }
    // One tick from here on: nothing can be received or answered in between.
    if (session.lastHeartbeat !== undefined) upstream.write(onewayOf(session.lastHeartbeat));
    for (const frame of parking.takeAllOf(connection)) upstream.write(frame);
    parts.frames.forget(connection);
    const joined: Splice = splice(connection.detach(), upstream, {
      onClose: () => this.#splices.delete(joined),
    });
    this.#splices.add(joined);
  }

  /** Tries again until it works, the client leaves or the relay ends. */
  async #connect(
    connection: ServerConnection,
  ): Promise<{ upstream?: net.Socket; target: RelayTarget | undefined }> {
    for (let attempt = 1; connection.isOpen && this.#target !== undefined; attempt++) {
      const target = this.#target;
      const address = splitAddress(target.target);
      const upstream = address === undefined ? undefined : await connectTo(address);
      if (upstream !== undefined) return { upstream, target };
      if (attempt === 1) log.warn('relay.unreachable', 'no connection upstream', { ...target });
      await sleep(CONNECT_AGAIN_MS);
    }
    return { target: this.#target };
  }
}

function connectTo(address: { host: string; port: number }): Promise<net.Socket | undefined> {
  return new Promise((resolve) => {
    const target = { ...address, noDelay: true, keepAlive: true };
    const { socket, ready } = openSocket(target, processIdentity().tls);
    const giveUp = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(undefined);
    };
    const timer = setTimeout(giveUp, CONNECT_TIMEOUT_MS);
    socket.once('error', giveUp);
    socket.once(ready, () => {
      clearTimeout(timer);
      socket.off('error', giveUp);
      // Until the splice listens an error must only end this socket.
      socket.on('error', () => socket.destroy());
      resolve(socket);
    });
  });
}

const DR_CODES: ReadonlySet<number> = new Set(Object.values(DR_CODE));

function isDrRequest(chunk: Buffer, start: number, end: number): boolean {
  try {
    return DR_CODES.has(decodeCommand(chunk, start, end).code);
  } catch (reason) {
    // A malformed frame is the business of whoever gets it; the peer upstream will refuse it.
    if (DrError.is(reason, 'PROTOCOL')) return false;
    throw reason;
  }
}
