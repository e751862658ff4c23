// The witness of a switch: one producer with a single send open at a time that polls the route every
// 50 ms and writes down what it saw. "Write pause" and RTO are computed from its samples, by others.
// It never retries: each sample is one try, so a refused or lost send is visible as such.
import { DrError, sleep } from '../../base/index.ts';
import { Producer } from './producer.ts';

export interface ProbeOptions {
  nameservers: readonly string[];
  topic: string;
  group?: string;
  routePollMs?: number;
  sendTimeoutMs?: number;
  /** Pause after a success and after a failure, ms: a dead region must not be hammered. */
  pauseMs?: number;
  /** Called after each try, in order. */
  onSample(sample: ProbeSample): void;
}

export interface ProbeSample {
  sequence: number;
  invokedAtMs: number;
  endedAtMs: number;
  /** ok: stored · refused: certainly not stored · unknown: time-out or lost connection */
  outcome: 'ok' | 'refused' | 'unknown';
  /** Broker that took it; undefined when none did. */
  address: string | undefined;
  msgId: string | undefined;
  /** Names the broker that stored it, also behind a gateway. */
  offsetMsgId: string | undefined;
  error: string | undefined;
}

export class Probe {
  readonly #producer: Producer;
  readonly #options: ProbeOptions;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(options: ProbeOptions) {
    this.#options = options;
    this.#producer = new Producer({
      nameservers: options.nameservers,
      group: options.group ?? 'dr_probe',
      routePollMs: options.routePollMs ?? 50,
      routeTimeoutMs: 1_000,
      sendTimeoutMs: options.sendTimeoutMs ?? 3_000,
      retryTimes: 0,
    });
  }

  start(): void {
    this.#producer.start();
    this.#running ??= this.#run();
  }

  /** Waits for the open send, then ends. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
    await this.#producer.stop();
  }

  async #run(): Promise<void> {
    for (let sequence = 0; !this.#stopped; sequence++) {
      this.#options.onSample(await this.#try(sequence));
      await sleep(this.#options.pauseMs ?? 5);
    }
  }

  async #try(sequence: number): Promise<ProbeSample> {
    const invokedAtMs = Date.now();
    try {
      const body = `probe ${sequence}`;
      const receipt = await this.#producer.send({ topic: this.#options.topic, body });
      const { address, msgId, offsetMsgId } = receipt;
      const stored = { address, msgId, offsetMsgId, error: undefined };
      return { sequence, invokedAtMs, endedAtMs: Date.now(), outcome: 'ok', ...stored };
    } catch (reason) {
      const failure = DrError.from(reason);
      return {
        sequence,
        invokedAtMs,
        endedAtMs: Date.now(),
        outcome: DrError.is(failure, 'NETWORK', 'TIMEOUT') ? 'unknown' : 'refused',
        address: undefined,
        msgId: undefined,
        offsetMsgId: undefined,
        error: `${failure.code}: ${failure.message}`,
      };
    }
  }
}
