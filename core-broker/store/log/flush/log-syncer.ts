// fdatasync of the commit log in the background: moves `flushed` up to what was written.
// Invariant: one run at a time; `flushed` grows only after every file in between and its name was synced.
// A sync that failed may have dropped dirty pages, so it is final: the store stops acknowledging.
import { createLog, DrError } from '../../../base/index.ts';
import type { FileLayer } from '../file-layer.ts';
import type { LogFile, LogFiles } from '../log-files.ts';
import type { LogState } from '../log-state.ts';

const log = createLog('store');

export class LogSyncer {
  readonly #files: LogFiles;
  readonly #state: LogState;
  readonly #layer: FileLayer;
  #running: Promise<void> | undefined;

  constructor(parts: { files: LogFiles; state: LogState; layer: FileLayer }) {
    this.#files = parts.files;
    this.#state = parts.state;
    this.#layer = parts.layer;
  }

  /**
   * Resolves when everything written before the call is on disk.
   * @throws DrError UNEXPECTED when a sync failed
   */
  async sync(): Promise<void> {
    const target = this.#state.written;
    // Why min: a cut or a given-up partial record may move the end below the target meanwhile.
    while (this.#state.flushed < Math.min(target, this.#state.written)) {
      this.#running ??= this.#run().finally(() => {
        this.#running = undefined;
      });
      await this.#running;
    }
  }

  /** Resolves when no sync is running. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    const state = this.#state;
    if (state.failure !== undefined) throw state.failure;
    const target = state.written;
    const { cuts } = state;
    for (let at = this.#files.startOf(state.flushed); at < target; at += this.#files.fileSize) {
      const file = this.#files.find(at);
      if (file !== undefined) await this.#syncFile(file);
    }
    await this.#syncNames();
    // Why: behind a cut stand other bytes now, which this sync may not have seen.
    if (state.cuts !== cuts) return;
    state.flushed = Math.max(state.flushed, Math.min(target, state.written));
  }

  #syncFile(file: LogFile): Promise<void> {
    this.#files.hold(file);
    return new Promise((resolve, reject) => {
      this.#layer.fdatasync(file.fd, (reason) => {
        this.#files.release(file);
        if (reason === null) resolve();
        else reject(this.#failed(file.path, reason));
      });
    });
  }

  async #syncNames(): Promise<void> {
    try {
      await this.#files.syncNames();
    } catch (reason) {
      throw this.#failed(this.#files.folder, reason);
    }
  }

  #failed(file: string, reason: unknown): DrError {
    this.#state.failure ??= DrError.from(reason);
    log.error('store.failed', 'a sync failed; nothing is acknowledged any more', {
      file,
      reason: String(reason),
    });
    return this.#state.failure;
  }
}
