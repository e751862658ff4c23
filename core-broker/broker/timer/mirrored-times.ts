// The timer times of the active side, as a standby keeps them for its own promotion.
// They claim that deliveries are in the log, and the copied log may be behind: times ahead of it would
// lose messages. So a checkpoint waits until a record stored after it is here; the log is in order of
// store times, hence everything it speaks of is here too. An idle source leaves older times standing:
// what was due since is looked up in the log. A planned switch proves the whole log, so its times count.
import type { MessageStore } from '../../store/index.ts';
import { decodeCheckpoint, type TimerCheckpoint, writeCheckpoint } from './files/index.ts';
import { checkpointFile, lastStoreTime } from './timer-books.ts';

export class MirroredTimes {
  readonly file: string;
  readonly #store: MessageStore;
  /** The epoch this side stood by under, with the times. */
  #waiting: { state: TimerCheckpoint; epoch: number } | undefined;

  #turn: Promise<void> = Promise.resolve();

  constructor(rootDir: string, store: MessageStore) {
    this.file = checkpointFile(rootDir);
    this.#store = store;
  }

  /** One answer to code 60. */
  take(bytes: Buffer): Promise<void> {
    return this.#inTurn(async () => {
      await this.#keep((state) => lastStoreTime(this.#store) > state.timestampMs);
      const state = decodeCheckpoint(bytes);
      const { epoch } = this.#store.guard.state;
      if (state !== undefined && state.readTimeMs > 0) this.#waiting = { state, epoch };
    });
  }

  /** Keeps what waits, if the log holds it by now. */
  settle(): Promise<void> {
    return this.#inTurn(() =>
      this.#keep((state) => lastStoreTime(this.#store) > state.timestampMs),
    );
  }

  /** After a sealed side's token was found to be true: its log ends here, and its times with it. */
  adopt(): Promise<void> {
    const { epoch } = this.#store.guard.state;
    return this.#inTurn(() => this.#keep(() => this.#waiting?.epoch === epoch));
  }

  async #keep(isHeld: (state: TimerCheckpoint) => boolean): Promise<void> {
    const waiting = this.#waiting;
    if (waiting === undefined || !isHeld(waiting.state)) return;
    this.#waiting = undefined;
    await writeCheckpoint(this.file, { ...waiting.state, mirroredIn: waiting.epoch });
  }

  /** One after the other; a failed write is told to its caller only. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }
}
