// The mirror link: follows one source's commit log, byte for byte, into the sink of the standby.
// Three loops run while it is not halted: copy (attach and stream), sample (lag, loss statement basis),
// metadata (topics, groups, offsets). Losing the source is normal life; what may never happen is that
// bytes are skipped, mixed or appended under an old epoch: then the link fails and a human must act.
// Invariant: a halt is on disk before it is answered and outlives restarts; only the operation that
// halted the link resumes it. Every file it writes carries the epoch.
// Source: switchover "Link"; states in link-states.ts.
import { randomUUID } from 'node:crypto';
import { backOffMs, createLog, DrError, LoopSet, sleep } from '../core-broker/base/index.ts';
import { BrokerAdmin, createDrClient, createPeerClient } from '../core-broker/client/index.ts';
import type { FinalSyncResult, LinkReport, TailReport } from '../core-broker/protocol/index.ts';
import { orAborted } from './abortable.ts';
import type { LinkConfig } from './config.ts';
import type { Link, LinkHealth, LinkOptions } from './door.ts';
import { LagKeeper } from './lag.ts';
import { isFatal, LinkCopy } from './link-copy.ts';
import { LinkFiles } from './link-files.ts';
import { type LinkEvent, type LinkState, linkTransition } from './link-states.ts';
import { MetadataSync } from './metadata/metadata-sync.ts';
import { copiedBytes, reconnects, showLink } from './metrics.ts';
import type { ExactSink, MetadataSink } from './ports.ts';
import { AnySource } from './source/any-source.ts';
import { DrSource } from './source/dr-source.ts';
import { StockSource } from './source/stock-source.ts';

const log = createLog('link');
/** A status call that takes longer says nothing about now. */
const SAMPLE_TIMEOUT_MS = 1_000;
const ADMIN_TIMEOUT_MS = 5_000;
/** The sample file is written at most this often. */
const SAMPLE_FILE_MS = 1_000;
const DRAIN_POLL_MS = 2;
/** A metadata copy that failed is tried again after this, however rare the copies are. */
const METADATA_RETRY_MS = 1_000;

/** Makes a link; nothing runs before start(). One link per sink. */
export const createLogLink = (
  options: LinkOptions,
  sink: ExactSink,
  metadataSink: MetadataSink,
): Link => new LogLink(options, sink, metadataSink);

class LogLink implements Link {
  readonly #options: LinkOptions;
  readonly #config: LinkConfig;
  readonly #sink: ExactSink;
  readonly #files: LinkFiles;
  readonly #lag = new LagKeeper();
  readonly #linkId: string;
  // Three connections: a long answer on one must not age the samples on another.
  readonly #controlPeer = createPeerClient();
  readonly #samplePeer = createPeerClient();
  readonly #source: AnySource;
  readonly #metadata: MetadataSync;
  readonly #copy: LinkCopy;
  #state: LinkState = 'stopped';
  #epoch = 0;
  #haltedBy: string | undefined;
  #lastError: string | undefined;
  #loops: LoopSet | undefined;
  #aheadSinceMs: number | undefined;
  #sampleFileMs = 0;

  constructor(options: LinkOptions, sink: ExactSink, metadataSink: MetadataSink) {
    this.#options = options;
    this.#config = options.config;
    this.#sink = sink;
    this.#files = new LinkFiles(options.stateDir);
    this.#linkId = `${options.ownStoreId}-${randomUUID()}`;
    this.#source = this.#makeSource();
    const admin = new BrokerAdmin(this.#controlPeer, ADMIN_TIMEOUT_MS);
    this.#metadata = new MetadataSync(admin, options.source, metadataSink, this.#config);
    this.#copy = new LinkCopy({
      sink,
      source: this.#source,
      address: options.source,
      config: this.#config,
      files: this.#files,
      onAttached: (attachment) => {
        this.#epoch = attachment.epoch;
        this.#move('attached');
      },
      onCopied: (bytes) => copiedBytes.inc(bytes),
    });
  }

  async start(): Promise<void> {
    const { epoch } = this.#sink.position();
    this.#epoch = epoch;
    const file = this.#files.readLink();
    if (file !== undefined && file.epoch > epoch) {
      throw new DrError('FENCED', `the link was at epoch ${file.epoch}, the store is at ${epoch}`);
    }
    const sample = this.#files.readSample();
    // A sample of an older epoch tells of a log that another region has continued since.
    const isOurs = sample?.source === this.#options.source && sample.epoch === epoch;
    if (sample !== undefined && isOurs) this.#lag.restore(sample);
    showLink(() => this.status());
    // A halt of an older epoch belongs to a switch that is over.
    if (file !== undefined && file.haltedBy !== null && file.epoch === epoch) {
      this.#haltedBy = file.haltedBy;
      this.#move('halt');
      return;
    }
    this.#move('start');
    this.#runLoops();
  }

  async stop(): Promise<void> {
    await this.#endLoops();
    this.#controlPeer.close();
    this.#samplePeer.close();
    this.#move('stop');
  }

  async halt(opId: string): Promise<void> {
    if (this.#haltedBy !== undefined && this.#haltedBy !== opId) {
      throw new DrError('REFUSED', `the link is halted by operation ${this.#haltedBy}`);
    }
    // Order: on disk -> loops ended -> answered. A crash in between leaves it halted.
    if (this.#haltedBy === undefined) this.#writeLink(opId);
    this.#haltedBy = opId;
    await this.#endLoops();
    await this.#sink.settled();
    await this.#sink.flush();
    this.#move('halt');
  }

  async resume(opId: string): Promise<void> {
    if (this.#haltedBy === undefined) return;
    if (this.#haltedBy !== opId) {
      throw new DrError('REFUSED', `the link is halted by operation ${this.#haltedBy}`);
    }
    this.#writeLink(undefined);
    this.#haltedBy = undefined;
    this.#move('resume');
    this.#runLoops();
  }

  async drain(to: number, timeoutMs: number): Promise<number> {
    const deadline = performance.now() + timeoutMs;
    while (this.#sink.validatedEnd() < to) {
      if (this.#state === 'failed') throw new DrError('REFUSED', this.#lastError ?? 'link failed');
      if (performance.now() >= deadline) {
        throw new DrError('TIMEOUT', `byte ${to} did not arrive within ${timeoutMs} ms`, {
          context: { validatedEnd: this.#sink.validatedEnd(), to },
        });
      }
      await sleep(DRAIN_POLL_MS);
    }
    return this.#sink.validatedEnd();
  }

  finalSync(_opId: string): Promise<FinalSyncResult> {
    return this.#metadata.run();
  }

  status(): LinkReport {
    const lag = this.#lag.lag(this.#sink.validatedEnd(), Date.now());
    return {
      state: this.#state,
      source: this.#options.source,
      lagMessages: lag.messages,
      lagBytes: lag.bytes,
      lagMs: Math.round(lag.ms),
      sampledAtMs: lag.sampledAtMs,
      haltedBy: this.#haltedBy,
      lastError: this.#lastError ?? this.#metadata.lastProblem,
    };
  }

  health(): LinkHealth {
    const isRunning = this.#state === 'catching-up' || this.#state === 'following';
    if (!isRunning) return { isHealthy: false, why: this.#lastError ?? `link is ${this.#state}` };
    if (!this.#lag.isFresh(Date.now())) {
      return { isHealthy: false, why: 'the source does not answer status calls' };
    }
    const problem = this.#metadata.lastProblem;
    return problem === undefined
      ? { isHealthy: true, why: '' }
      : { isHealthy: false, why: `metadata: ${problem}` };
  }

  tailReport(standbyMax: (queue: string) => number): TailReport {
    const sample = this.#lag.sample;
    const queues = [...this.#lag.queueMaxima].map(([queue, sourceMax]) => ({
      queue,
      standbyMax: standbyMax(queue),
      sourceMax,
    }));
    return {
      validatedEnd: this.#sink.validatedEnd(),
      sampledAtMs: sample?.sampledAtMs ?? 0,
      sourceEpoch: sample?.epoch ?? 0,
      sourceEnd: sample?.maxOffset ?? 0,
      queues,
    };
  }

  #makeSource(): AnySource {
    const { source: address, ownStoreId, ownRegion, secret } = this.#options;
    const timeoutMs = this.#config.connectTimeoutMs;
    const ours = new DrSource(
      createDrClient({ secret }, this.#controlPeer),
      createDrClient({ secret }, this.#samplePeer),
      {
        address,
        linkId: this.#linkId,
        ownStoreId,
        ownRegion,
        timeoutMs,
        sampleTimeoutMs: SAMPLE_TIMEOUT_MS,
      },
    );
    const stock = new StockSource(
      new BrokerAdmin(this.#controlPeer, timeoutMs),
      new BrokerAdmin(this.#samplePeer, SAMPLE_TIMEOUT_MS),
      { address, readRecord: (offset) => this.#sink.readRecord(offset) },
    );
    return new AnySource(ours, stock);
  }

  /** Applies an event; a change is logged once, with its reason. */
  #move(on: LinkEvent, reason?: DrError): void {
    if (reason !== undefined) this.#lastError = `${reason.code}: ${reason.message}`;
    const row = linkTransition(this.#state, on);
    if (row === undefined) return;
    this.#state = row.to;
    if (on === 'attached') this.#lastError = undefined;
    const fields = {
      from: row.from,
      to: row.to,
      why: row.why,
      source: this.#options.source,
      epoch: this.#epoch,
      ...(reason && { error: this.#lastError, hint: reason.hint, ...reason.context }),
    };
    if (row.to === 'failed') log.error('link.state', `link ${row.to}`, fields);
    else if (reason !== undefined) log.warn('link.state', `link ${row.to}`, fields);
    else log.info('link.state', `link ${row.to}`, fields);
  }

  #writeLink(haltedBy: string | undefined): void {
    this.#files.writeLink({
      formatVersion: 1,
      linkId: this.#linkId,
      epoch: this.#sink.position().epoch,
      haltedBy: haltedBy ?? null,
      changedAtMs: Date.now(),
    });
  }

  #runLoops(): void {
    this.#loops = new LoopSet((reason) => this.#move('fail', reason));
    this.#loops.run('copy', (signal) => this.#follow(signal));
    this.#loops.run('sample', (signal) => this.#watch(signal));
    this.#loops.run('metadata', (signal) => this.#syncMetadata(signal));
  }

  async #endLoops(): Promise<void> {
    const loops = this.#loops;
    this.#loops = undefined;
    await loops?.stop();
  }

  /** Copy loop: ends with the signal, or with a failure that must not be retried. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { backOffFirstMs: firstDelayMs, backOffMaxMs: maxDelayMs } = this.#config;
    for (let attempt = 1; !signal.aborted; attempt++) {
      const failure = await this.#copy.run(signal).catch(DrError.from);
      if (signal.aborted) return;
      reconnects.inc();
      if (isFatal(failure)) return this.#move('fail', failure);
      this.#move('lost', failure);
      if (this.#copy.copied > 0) attempt = 1;
      await sleep(backOffMs(attempt, { firstDelayMs, maxDelayMs }), signal);
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startedMs = performance.now();
      await this.#sample(signal);
      await sleep(Math.max(1, this.#config.sampleMs - (performance.now() - startedMs)), signal);
    }
  }

  async #sample(signal: AbortSignal): Promise<void> {
    const position = this.#sink.validatedEnd();
    try {
      const asked = this.#source.sample(position, this.#lag.queuesSince);
      this.#lag.note(await orAborted(asked, signal), position);
    } catch (reason) {
      // The age of the last sample is what shows it; the copy loop says why a source is away.
      log.debug('link.sample', 'no sample of the source', { error: DrError.from(reason).message });
      return;
    }
    this.#judgeSample();
    await this.#keepSample();
  }

  #judgeSample(): void {
    const nowMs = performance.now();
    const { bytes, ms } = this.#lag.lag(this.#sink.validatedEnd(), Date.now());
    this.#move(bytes === 0 || ms <= this.#config.levelMs ? 'level' : 'behind');
    // Bytes that are here and wait to be checked are not missing.
    const isAhead = bytes > 0 && (this.#lag.sample?.maxOffset ?? 0) > this.#copy.end;
    this.#aheadSinceMs = isAhead ? (this.#aheadSinceMs ?? nowMs) : undefined;
    const idleMs = this.#copy.idleMs(nowMs);
    if (this.#aheadSinceMs === undefined || idleMs === undefined) return;
    const stalledMs = Math.min(idleMs, nowMs - this.#aheadSinceMs);
    if (stalledMs <= this.#config.stallMs) return;
    // Heartbeats may go on while nothing is sent (retention overtook us): only attaching again tells.
    const what = `the source has ${bytes} bytes more and sent none for ${Math.round(stalledMs)} ms`;
    this.#copy.drop(new DrError('TIMEOUT', what));
    this.#aheadSinceMs = undefined;
  }

  async #keepSample(): Promise<void> {
    const sample = this.#lag.sample;
    if (sample === undefined || Date.now() - this.#sampleFileMs < SAMPLE_FILE_MS) return;
    this.#sampleFileMs = Date.now();
    const content = {
      formatVersion: 1 as const,
      source: this.#options.source,
      epoch: sample.epoch,
      sampledAtMs: sample.sampledAtMs,
      minOffset: sample.minOffset,
      maxOffset: sample.maxOffset,
      queueMaxima: Object.fromEntries(this.#lag.queueMaxima),
    };
    await this.#files.writeSample(content).catch((reason: unknown) => {
      // The copy matters more: an older sample only widens what a statement calls unknown.
      log.warn('link.sample', 'the sample could not be kept', { error: String(reason) });
    });
  }

  async #syncMetadata(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#metadata.tick(signal);
      const { metadataMs } = this.#config;
      const hasFailed = this.#metadata.lastProblem !== undefined;
      await sleep(hasFailed ? Math.min(metadataMs, METADATA_RETRY_MS) : metadataMs, signal);
    }
  }
}
