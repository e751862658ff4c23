// The last known answers of all regions in one file, so that a global name server that restarts while
// it is cut off can still answer. Not a source of truth: who is active comes from the active-region file
// alone, and a file that cannot be read is reported and ignored. Format: JSON with a version. Source: ours.
import { createLog, readTextIfExists, writeAtomicSync } from '../../base/index.ts';
import { parseJsonObject } from '../../protocol/index.ts';
import type { Known, RegionView } from './region-view.ts';

const log = createLog('nameserver.global');
const VERSION = 1;

export class AnswerFile {
  readonly #file: string;
  readonly #views: ReadonlyMap<string, RegionView>;
  #saved = 0;

  constructor(file: string, views: ReadonlyMap<string, RegionView>) {
    this.#file = file;
    this.#views = views;
  }

  /** Puts the stored answers back into the views. */
  load(): void {
    const text = readTextIfExists(this.#file);
    if (text === undefined) return;
    try {
      const content = parseJsonObject(text);
      if (content['version'] !== VERSION) throw new Error(`version ${content['version']}`);
      const regions = (content['regions'] ?? {}) as Record<string, Record<string, string | null>>;
      for (const [region, answers] of Object.entries(regions)) {
        this.#views
          .get(region)
          ?.restore(
            Object.entries(answers).map(([key, body]): [string, Known] => [
              key,
              body === null ? { kind: 'absent' } : { kind: 'body', body: String(body) },
            ]),
          );
      }
    } catch (reason) {
      const error = String(reason);
      log.warn('answers.unreadable', 'stored answers are not used', { file: this.#file, error });
    }
  }

  /** Writes the file when something changed. A failure is reported and tried again next time. */
  save(): void {
    const revision = [...this.#views.values()].reduce((sum, view) => sum + view.revision, 0);
    if (revision === this.#saved) return;
    const regions = [...this.#views].map(([region, view]) => {
      const answers = [...view.known()].map(([key, known]) => [
        key,
        known.kind === 'body' ? known.body : null,
      ]);
      return [region, Object.fromEntries(answers)];
    });
    try {
      const content = { version: VERSION, regions: Object.fromEntries(regions) };
      writeAtomicSync(this.#file, JSON.stringify(content));
      this.#saved = revision;
    } catch (reason) {
      const error = String(reason);
      log.warn('answers.unsaved', 'last known answers were not saved', { error });
    }
  }
}
