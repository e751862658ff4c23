// When a table of metadata is written into its file. Two roads: saveNow() is durable on return, for what was
// answered with success (an operator's change, a topic that takes messages); touch() only notes that the
// file is behind, and aside() writes it a little later off the loop, many changes at once: offsets, and
// groups that came with their first client. Why off the loop: a sync waits for the disk, behind all that
// the log writes, and every client of the broker would wait with it.
// Invariant: the file never goes back to an older content; saveNow() makes a write under way void.
import { type JsonObject, writeJsonFile, writeJsonFileAside } from './json-file.ts';

export class SavedTable {
  readonly #file: string;
  readonly #content: () => JsonObject;
  #isBehind = false;
  /** Counts contents that went to the disk, on either road. */
  #writes = 0;
  #running: Promise<void> | undefined;

  constructor(file: string, content: () => JsonObject) {
    this.#file = file;
    this.#content = content;
  }

  /** Something has changed that is not in the file. */
  get isBehind(): boolean {
    return this.#isBehind || this.#running !== undefined;
  }

  touch(): void {
    this.#isBehind = true;
  }

  /** Durable on return. @throws as the disk; the table is then behind */
  saveNow(): void {
    this.#isBehind = true;
    this.#writes++;
    writeJsonFile(this.#file, this.#content());
    this.#isBehind = false;
  }

  /** Durable on return what was touched. */
  catchUp(): void {
    if (this.isBehind) this.saveNow();
  }

  /** Writes what was touched off the loop; one write at a time. Rejects as the disk. */
  aside(): Promise<void> {
    if (this.#running === undefined && this.#isBehind) {
      this.#running = this.#writeAside().finally(() => {
        this.#running = undefined;
      });
    }
    return this.#running ?? Promise.resolve();
  }

  /** Resolves when no write is under way. Never rejects. */
  async settled(): Promise<void> {
    await this.#running?.catch(() => undefined);
  }

  async #writeAside(): Promise<void> {
    const write = ++this.#writes;
    this.#isBehind = false;
    try {
      await writeJsonFileAside(this.#file, this.#content(), () => this.#writes !== write);
    } catch (reason) {
      if (this.#writes === write) this.#isBehind = true;
      throw reason;
    }
  }
}
