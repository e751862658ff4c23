// The standby's store as the link sees it: bytes go in at their exact offset or not at all.
// Structurally the port ExactSink of the replicator (it is wired in cli; this room does not know it).
// The log itself is the checkpoint: what position() says is what the files hold.
// Invariant: closed during a promotion, in the same tick in which the broker decides to promote, so that
// nothing of the old epoch can be appended behind the tail that is being proved.
// Source: switchover "Link" and "Promote".
import * as fs from 'node:fs';
import * as path from 'node:path';
import { crc32 } from 'node:zlib';
import { type CommitLogOffset, DrError, type Epoch, fsyncFolderSync } from '../../../base/index.ts';
import type { LineageEntry } from '../../../protocol/index.ts';
import type { MessageStore } from '../../../store/index.ts';
import type { SinkEnd, StandbySink } from '../../door.ts';
import { HA_READ_BYTES } from '../../ha/index.ts';

/** Reading goes on when this part of what waited is checked. */
const DRAINED_PART = 16;

export class StoreSink implements StandbySink {
  readonly #store: MessageStore;
  readonly #rootDir: string;
  /** Told after every cut: what was computed from the bytes behind it is void. */
  readonly #onCut: () => void;
  #closedBy: string | undefined;

  constructor(store: MessageStore, rootDir: string, onCut: () => void) {
    this.#store = store;
    this.#rootDir = rootDir;
    this.#onCut = onCut;
  }

  /** Refuses everything from now on; reopen() when the promotion did not happen. */
  closeGate(why: string): void {
    this.#closedBy = why;
  }

  reopenGate(): void {
    this.#closedBy = undefined;
  }

  position(): SinkEnd {
    const { state } = this.#store.guard;
    const lastRecordOffset = this.#store.lastRecordOffset();
    return {
      offset: this.#store.validatedEnd(),
      epoch: state.epoch as Epoch,
      lastRecordCrc: lastRecordOffset < 0 ? 0 : crc32(this.#store.readRecord(lastRecordOffset)),
      lastRecordOffset,
      lineage: [...state.lineage],
    };
  }

  /** @throws DrError FENCED (gate closed, role, epoch), CORRUPT, DISK_FULL */
  append(offset: number, bytes: Buffer, epoch: Epoch): void {
    this.#checkGate();
    this.#store.appendExact(offset, bytes, epoch);
  }

  validatedEnd(): CommitLogOffset {
    return this.#store.validatedEnd();
  }

  pendingBytes(): number {
    return this.#store.uncheckedBytes();
  }

  async drained(): Promise<void> {
    const pending = this.#store.uncheckedBytes();
    const low = pending - pending / DRAINED_PART;
    while (this.#store.uncheckedBytes() > low) await this.#store.checkedMore();
  }

  checkedMore(): Promise<void> {
    return this.#store.checkedMore();
  }

  settled(): Promise<void> {
    return this.#store.dispatched();
  }

  flush(): Promise<void> {
    return this.#store.flush();
  }

  /**
   * Writes [to, end) to `drTail-<epoch>-<offset>.log` beside the store, fsyncs it, then cuts. Bytes
   * of a record that never became whole are no message and go without an export.
   * An export that is there already is kept: a second one gets a number behind its name.
   * @returns the file
   */
  async exportAndTruncate(to: number): Promise<string> {
    this.#checkGate();
    await this.#store.flush();
    await this.#store.dispatched();
    const { epoch } = this.#store.guard.state;
    const file = freeName(path.join(this.#rootDir, `drTail-${epoch}-${to}`));
    await this.#exportTail(file, to);
    await this.#cut(to);
    return file;
  }

  /** Forced promotion only: bytes behind the last whole record are cut, they are no message. */
  async cutPartialRecord(): Promise<void> {
    await this.#store.dispatched();
    const end = this.#store.validatedEnd();
    if (this.#store.storeBounds().maxOffset > end) await this.#cut(end);
  }

  adoptLineage(epoch: Epoch, lineage: LineageEntry[]): void {
    this.#checkGate();
    this.#store.guard.adoptLineage(epoch, lineage);
  }

  readRecord(offset: number): Buffer {
    return this.#store.readRecord(offset);
  }

  async #cut(to: number): Promise<void> {
    await this.#store.truncate(to);
    this.#onCut();
  }

  async #exportTail(file: string, from: number): Promise<void> {
    const end = this.#store.validatedEnd();
    const tmp = `${file}.tmp`;
    const handle = await fs.promises.open(tmp, 'w');
    try {
      for (let at = from; at < end; ) {
        const bytes = await this.#store.readLog(at, Math.min(HA_READ_BYTES, end - at));
        if (bytes === undefined || bytes.length === 0) {
          throw new DrError('CORRUPT', `the tail to export cannot be read at byte ${at}`);
        }
        await handle.writeFile(bytes);
        at += bytes.length;
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    // Order: only a whole, synced export gets its name; only then is the log cut.
    fs.renameSync(tmp, file);
    fsyncFolderSync(this.#rootDir);
  }

  #checkGate(): void {
    if (this.#closedBy === undefined) return;
    throw new DrError('FENCED', `the sink is closed: ${this.#closedBy}`);
  }
}

function freeName(stem: string): string {
  for (let copy = 1; ; copy++) {
    const file = copy === 1 ? `${stem}.log` : `${stem}.${copy}.log`;
    if (!fs.existsSync(file)) return file;
  }
}
