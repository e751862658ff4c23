// Two regions as a model: brokers that obey protocol/dr-control.ts, producers that try every broker all
// the time, a link, flips, and a wire that drops, repeats and delays. Virtual time; no I/O.
// It watches the safety promises itself: one writing region per epoch, acknowledged records are kept,
// a standby's log is a prefix of its source, parked sends are answered.
import { DrError } from '../../core-broker/base/index.ts';
import type { PeerClient } from '../../core-broker/client/index.ts';
import {
  DR_CODE,
  type DrStatus,
  type FlipResult,
  type RemotingCommand,
  type SealedTailToken,
} from '../../core-broker/protocol/index.ts';

const RECORD_BYTES = 100;
export const TICK_MS = 5;

export interface ModelRecord {
  id: number;
  epoch: number;
  atMs: number;
}

export type ModelBody = Record<string, unknown> & { opId: string };

export class ModelBroker {
  role: 'active' | 'standby';
  epoch = 1;
  opId: string | undefined;
  fencedUntilMs = 0;
  sealedBy: string | undefined;
  isDeposed = false;
  log: ModelRecord[] = [];
  parked: ModelRecord[] = [];
  isUp = true;
  /** False: the link and peers cannot reach it, the controller can. */
  isLinked = true;
  linkBrokenUntilMs = 0;
  haltedBy: string | undefined;
  finalSyncedBy: string | undefined;
  relayTo: string | undefined;
  /** Address the link follows. */
  source = '';
  sampledAtMs = 0;
  sampledEnd = 0;
  readonly retired = new Set<string>();
  readonly region: string;
  readonly name: string;
  readonly world: RegionModel;

  constructor(world: RegionModel, region: string, name: string) {
    this.world = world;
    this.region = region;
    this.name = name;
    this.role = region === 'east' ? 'active' : 'standby';
  }

  get twin(): ModelBroker {
    return this.world.broker(this.region === 'east' ? 'west' : 'east', this.name);
  }

  get writeState(): DrStatus['writeState'] {
    if (this.role === 'standby') return 'standby';
    if (this.isDeposed) return 'deposed';
    if (this.sealedBy) return 'sealed';
    return this.world.nowMs < this.fencedUntilMs ? 'fenced' : 'open';
  }

  get end(): number {
    return this.log.length * RECORD_BYTES;
  }

  status(): DrStatus {
    const source = this.twin;
    const lag = Math.max(0, this.sampledEnd - this.end);
    const isStandby = this.role === 'standby';
    return {
      region: this.region,
      role: this.role,
      writeState: this.writeState,
      epoch: this.epoch,
      opId: this.sealedBy ?? this.opId,
      clusterName: 'orders',
      brokerName: this.name,
      storeId: `${this.region}/${this.name}`,
      boot: 'b',
      lineage: [],
      minOffset: 0,
      maxOffset: this.end,
      mappedFileSizeCommitLog: 1024,
      activeRegion: this.role === 'active' && !this.isDeposed ? this.region : source.region,
      activeEpoch: this.isDeposed ? source.epoch : this.epoch,
      parkedSends: this.parked.length,
      relay: undefined,
      link: isStandby
        ? {
            state: this.haltedBy ? 'halted' : this.canFollow() ? 'following' : 'connecting',
            source: this.source,
            lagMessages: lag / RECORD_BYTES,
            lagBytes: lag,
            lagMs: lag > 0 ? TICK_MS : 0,
            sampledAtMs: this.sampledAtMs,
            haltedBy: this.haltedBy,
            lastError: undefined,
          }
        : undefined,
      haAddress: '',
      nowMs: this.world.nowMs,
    };
  }

  canFollow(): boolean {
    const source = this.twin;
    const isCut = this.world.nowMs < this.linkBrokenUntilMs;
    const isConnected = this.isUp && source.isUp && this.isLinked && source.isLinked && !isCut;
    return isConnected && source.role === 'active' && !source.isDeposed;
  }

  /** One step of link, fence expiry and peer watch. */
  tick(): void {
    if (!this.isUp) return;
    const { twin } = this;
    if (this.role === 'standby' && !this.haltedBy && this.canFollow()) {
      this.log.push(...twin.log.slice(this.log.length, this.log.length + 40));
      this.epoch = Math.max(this.epoch, twin.epoch);
      this.sampledAtMs = this.world.nowMs;
      this.sampledEnd = twin.end;
    }
    const isHigher = twin.isUp && this.isLinked && twin.isLinked && twin.epoch > this.epoch;
    if (isHigher && this.role === 'active') this.isDeposed = true;
    this.settleParked();
  }

  settleParked(): void {
    if (this.writeState === 'open') for (const record of this.parked.splice(0)) this.append(record);
    else if (this.relayTo) {
      for (const record of this.parked.splice(0)) this.twin.offer(record);
    } else if (this.isDeposed || this.role === 'standby') {
      this.world.refused.push(...this.parked.splice(0));
    }
  }

  offer(record: ModelRecord): void {
    if (!this.isUp) return;
    const state = this.writeState;
    if (state === 'open') this.append(record);
    else if (this.relayTo) this.twin.offer(record);
    else if (state === 'fenced' || state === 'sealed') this.parked.push(record);
    else this.world.refused.push(record);
  }

  append(record: ModelRecord): void {
    this.world.noteWriter(this.epoch, this.region);
    const stored = { ...record, epoch: this.epoch, atMs: this.world.nowMs };
    this.log.push(stored);
    this.world.acknowledged.push(stored);
  }

  token(): SealedTailToken {
    return {
      lineage: [],
      epoch: this.epoch,
      logEnd: this.end,
      lastFileCrc: this.log.reduce((sum, { id }) => (sum * 31 + id) % 1_000_003, 7),
      queueDigest: String(this.log.length),
      offsetDigest: 'offsets',
    };
  }

  answer(code: number, body: ModelBody): unknown {
    switch (code) {
      case DR_CODE.STATUS:
        return this.status();
      case DR_CODE.FENCE:
        return this.#fence(body);
      case DR_CODE.UNFENCE:
        return this.#unfence(body);
      case DR_CODE.SEAL:
        return this.#seal(body);
      case DR_CODE.UNSEAL:
        return this.#unseal(body);
      case DR_CODE.LINK_HALT:
        this.#refuseRetired(body);
        if (this.role !== 'standby') throw wrongState('no standby');
        if (this.haltedBy && this.haltedBy !== body.opId) throw wrongState('halted by another');
        this.haltedBy = body.opId;
        return this.status();
      case DR_CODE.LINK_RESUME:
        if (this.role === 'active') throw wrongState('promoted');
        if (this.haltedBy && this.haltedBy !== body.opId) throw wrongState('halted by another');
        this.retired.add(body.opId);
        this.haltedBy = undefined;
        return this.status();
      case DR_CODE.FINAL_SYNC:
        if (this.haltedBy !== body.opId) throw wrongState('not halted');
        this.finalSyncedBy = body.opId;
        return { topics: 1, groups: 1, offsets: 1, delayLevels: 0, offsetDigest: 'offsets' };
      case DR_CODE.PROMOTE:
        return this.#promote(body);
      case DR_CODE.RELAY_START:
        if (this.role === 'active' && this.writeState === 'open') throw wrongState('open');
        this.relayTo = String(body['target']);
        this.settleParked();
        return this.status();
      case DR_CODE.REVERSE:
        return this.#reverse(body);
      case DR_CODE.TAIL_REPORT:
        return this.#tailReport();
      case DR_CODE.LINK_STATUS:
        return {
          epoch: this.epoch,
          minOffset: 0,
          maxOffset: this.end,
          lagMessages: 0,
          oldestUnsharedMs: 0,
          nowMs: this.world.nowMs,
          queueMaxima: { 'orders@0': this.log.length },
        };
      default:
        throw new DrError('REMOTE', `code ${code}`);
    }
  }

  #refuseRetired(body: ModelBody): void {
    if (this.retired.has(body.opId)) throw wrongState('retired operation id');
  }

  #fence(body: ModelBody): DrStatus {
    this.#refuseRetired(body);
    if (this.role !== 'active' || this.isDeposed) throw wrongState('not active');
    if (this.sealedBy && this.sealedBy !== body.opId) throw wrongState('sealed by another');
    if (this.sealedBy || (this.writeState === 'fenced' && this.opId === body.opId))
      return this.status();
    if (this.writeState !== 'open') throw wrongState('not open');
    this.opId = body.opId;
    this.fencedUntilMs = this.world.nowMs + Number(body['deadlineMs']);
    return this.status();
  }

  #seal(body: ModelBody): SealedTailToken {
    this.#refuseRetired(body);
    if (this.role !== 'active' || this.isDeposed) throw wrongState('not active');
    if (this.sealedBy && this.sealedBy !== body.opId) throw wrongState('sealed by another');
    const isFenced = this.writeState === 'fenced' && this.opId === body.opId;
    if (!this.sealedBy && !isFenced) throw wrongState('no fence of this operation stands');
    this.sealedBy = body.opId;
    return this.token();
  }

  #unfence(body: ModelBody): DrStatus {
    if (this.sealedBy === body.opId) throw wrongState('sealed');
    this.retired.add(body.opId);
    if (this.opId === body.opId && this.role === 'active') this.fencedUntilMs = 0;
    this.settleParked();
    return this.status();
  }

  #unseal(body: ModelBody): DrStatus {
    if (!this.sealedBy) return this.#unfence(body);
    if (this.sealedBy !== body.opId) throw wrongState('sealed by another');
    if (this.writeState !== 'sealed') throw wrongState('a higher epoch exists');
    this.retired.add(body.opId);
    this.sealedBy = undefined;
    this.fencedUntilMs = 0;
    this.settleParked();
    return this.status();
  }

  #promote(body: ModelBody): unknown {
    const fromEpoch = Number(body['fromEpoch']);
    const answer = { epoch: fromEpoch + 1, startOffset: this.end, promotedAtMs: this.world.nowMs };
    if (this.role === 'active' && this.opId === body.opId) return answer;
    if (this.world.needsHalt) {
      this.#refuseRetired(body);
      if (this.haltedBy !== body.opId) throw wrongState('link is not halted by this operation');
    }
    if (this.role !== 'standby' || this.epoch !== fromEpoch) throw wrongState('epoch');
    if (!body['forced']) this.#verify(body['token'] as SealedTailToken, body.opId);
    this.role = 'active';
    this.epoch = fromEpoch + 1;
    this.opId = body.opId;
    this.haltedBy = undefined;
    // A region that relayed earlier and is active again must not send its clients round in a circle.
    this.relayTo = undefined;
    return answer;
  }

  #verify(token: SealedTailToken, opId: string): void {
    if (JSON.stringify(token) !== JSON.stringify(this.token())) {
      throw new DrError('VERIFY_FAILED', 'token mismatch');
    }
    if (this.finalSyncedBy !== opId) throw new DrError('VERIFY_FAILED', 'offsets are not final');
  }

  #reverse(body: ModelBody): DrStatus {
    const epoch = Number(body['epoch']);
    this.source = String(body['source']);
    if (this.role === 'standby') return this.status();
    if (this.epoch >= epoch) throw new DrError('FENCED', 'epoch');
    const isPrefix = this.log.every((record, index) => this.twin.log[index]?.id === record.id);
    if (!isPrefix) throw wrongState('diverged');
    this.role = 'standby';
    this.epoch = epoch;
    this.sealedBy = undefined;
    this.isDeposed = false;
    this.opId = body.opId;
    return this.status();
  }

  #tailReport(): unknown {
    const [standbyMax, sourceMax] = [this.log.length, this.sampledEnd / RECORD_BYTES];
    return {
      validatedEnd: this.end,
      sampledAtMs: this.sampledAtMs,
      sourceEpoch: this.epoch,
      sourceEnd: this.sampledEnd,
      queues: [{ queue: 'orders@0', standbyMax, sourceMax }],
    };
  }
}

const wrongState = (why: string) => new DrError('REFUSED', why);

export class RegionModel {
  nowMs = 1_000_000;
  acknowledged: ModelRecord[] = [];
  refused: ModelRecord[] = [];
  /** False: a promotion ignores its halt, to show that a test notices. */
  needsHalt = true;
  /** How long a delayed request is on its way. */
  delayMs = 200;
  readonly brokers: ModelBroker[] = [];
  readonly flips = new Map<string, FlipResult & { isUp: boolean; handedOver?: boolean }>();
  readonly writers = new Map<number, Set<string>>();
  #delayed: { dueMs: number; run: () => void }[] = [];
  #nextId = 1;

  constructor(brokerNames: readonly string[] = ['a']) {
    for (const region of ['east', 'west']) {
      for (const name of brokerNames) this.brokers.push(new ModelBroker(this, region, name));
    }
    for (const address of ['gns:1', 'gw:1']) {
      this.flips.set(address, { region: 'east', epoch: 1, moved: 0, isUp: true });
    }
  }

  broker(region: string, name = 'a'): ModelBroker {
    const found = this.brokers.find((each) => each.region === region && each.name === name);
    if (!found) throw new Error(`no broker ${region}/${name}`);
    return found;
  }

  regions() {
    const of = (region: string) => ({
      nameservers: [`${region}-ns:1`],
      brokers: Object.fromEntries(
        this.brokers
          .filter((b) => b.region === region)
          .map((b) => [b.name, `${region}-${b.name}:1`]),
      ),
    });
    return { east: of('east'), west: of('west') };
  }

  noteWriter(epoch: number, region: string): void {
    this.writers.set(epoch, (this.writers.get(epoch) ?? new Set()).add(region));
  }

  /** Producers offer one record to every broker, links and brokers make a step. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    while (this.nowMs < endMs) {
      this.nowMs = Math.min(endMs, this.nowMs + TICK_MS);
      const due = this.#delayed.filter(({ dueMs }) => dueMs <= this.nowMs);
      this.#delayed = this.#delayed.filter(({ dueMs }) => dueMs > this.nowMs);
      for (const { run } of due) run();
      for (const broker of this.brokers) {
        broker.offer({ id: this.#nextId++, epoch: 0, atMs: this.nowMs });
        broker.tick();
      }
    }
  }

  later(ms: number, run: () => void): void {
    this.#delayed.push({ dueMs: this.nowMs + ms, run });
  }

  /** Delivers one request; throws what the wire or the receiver says. */
  deliver(address: string, code: number, body: ModelBody): unknown {
    const flip = this.flips.get(address);
    if (flip) {
      if (!flip.isUp) throw new DrError('NETWORK', `${address} is down`);
      const epoch = Number(body['epoch'] ?? 0);
      if (code === DR_CODE.FLIP && epoch > flip.epoch) {
        flip.region = String(body['region']);
        flip.epoch = epoch;
        flip.handedOver = body['handOver'] === true;
      }
      return { region: flip.region, epoch: flip.epoch, moved: 0 };
    }
    const broker = this.#at(address);
    if (!broker.isUp) throw new DrError('NETWORK', `${address} is down`);
    return structuredClone(broker.answer(code, body));
  }

  #at(address: string): ModelBroker {
    const broker = this.brokers.find((b) => `${b.region}-${b.name}:1` === address);
    if (!broker) throw new DrError('NETWORK', `nobody at ${address}`);
    return broker;
  }

  /** Classic requests of pre-flight and canary. */
  readonly peerClient: PeerClient = {
    invoke: () => Promise.reject(new Error('not used')),
    oneway: () => Promise.reject(new Error('not used')),
    onRequest: () => undefined,
    close: () => undefined,
    call: async (address, request) => {
      const broker = this.#at(address);
      if (!broker.isUp) throw new DrError('NETWORK', `${address} is down`);
      if (request.code === 10) {
        if (broker.writeState !== 'open') throw new DrError('REMOTE', 'not writable');
        broker.append({ id: this.#nextId++, epoch: 0, atMs: this.nowMs });
      }
      const topics = { topicConfigTable: { orders: { writeQueueNums: 4, readQueueNums: 4 } } };
      return answerOf(Buffer.from(JSON.stringify(topics)));
    },
  };

  /** What is wrong now, as sentences; empty = every promise holds. */
  violations(): string[] {
    const found: string[] = [];
    for (const [epoch, regions] of this.writers) {
      if (regions.size > 1)
        found.push(`epoch ${epoch} was written by ${[...regions].join(' and ')}`);
    }
    const open = new Map<number, Set<string>>();
    for (const broker of this.brokers) {
      if (broker.writeState !== 'open') continue;
      open.set(broker.epoch, (open.get(broker.epoch) ?? new Set()).add(broker.region));
    }
    for (const [epoch, regions] of open) {
      if (regions.size > 1) found.push(`epoch ${epoch} is open in ${[...regions].join(' and ')}`);
    }
    return found;
  }

  /** Acknowledged records that the region's brokers do not hold. */
  missingIn(region: string): ModelRecord[] {
    const held = new Set(
      this.brokers.filter((b) => b.region === region).flatMap((b) => b.log.map(({ id }) => id)),
    );
    return this.acknowledged.filter(({ id }) => !held.has(id));
  }
}

const answerOf = (body: Buffer): RemotingCommand => ({
  code: 0,
  language: 'JAVA',
  version: 0,
  opaque: 0,
  flag: 1,
  remark: undefined,
  ext: { msgId: 'm', queueOffset: '0' },
  body,
});
