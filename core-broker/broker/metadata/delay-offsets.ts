// How far the delivery of each delay level has come: delayOffset.json, level -> next offset in queue
// level - 1 of SCHEDULE_TOPIC_XXXX. Saved every 10 s and at the end; after a crash some messages are
// delivered again, none is left out.
import type { Clock } from '../../base/index.ts';
import {
  bumpDataVersion,
  type DataVersion,
  newDataVersion,
  readDataVersion,
} from '../../protocol/index.ts';
import { asNumber, asObject, type JsonObject, readJsonFile } from './json-file.ts';
import { SavedTable } from './saved-table.ts';

export class DelayOffsets {
  readonly #saved: SavedTable;
  readonly #clock: Clock;
  readonly #version: DataVersion;
  #levels: Map<number, number>;

  constructor(file: string, clock: Clock) {
    this.#saved = new SavedTable(file, () => this.#bumped());
    this.#clock = clock;
    const saved = readJsonFile(file);
    this.#version = saved?.['dataVersion']
      ? readDataVersion(saved['dataVersion'])
      : newDataVersion(clock.nowMs());
    this.#levels = readLevels(saved);
  }

  /** Next offset of a level; 0 when nothing was delivered yet. */
  get(level: number): number {
    return this.#levels.get(level) ?? 0;
  }

  set(level: number, offset: number): void {
    if (this.#levels.get(level) === offset) return;
    this.#levels.set(level, offset);
    this.#saved.touch();
  }

  entries(): Iterable<[number, number]> {
    return this.#levels.entries();
  }

  /** Replaces all levels by those of a snapshot. */
  replaceAll(content: unknown, clamp: (level: number, offset: number) => number): number {
    const levels = readLevels(content);
    for (const [level, offset] of levels) levels.set(level, clamp(level, offset));
    this.#levels = levels;
    this.#saved.touch();
    return levels.size;
  }

  content(): JsonObject {
    return { dataVersion: this.#version, offsetTable: Object.fromEntries(this.#levels) };
  }

  /** Writes what changed; durable on return. */
  save(): void {
    this.#saved.catchUp();
  }

  /** When and how the file is written. */
  get file(): SavedTable {
    return this.#saved;
  }

  #bumped(): JsonObject {
    bumpDataVersion(this.#version, this.#clock.nowMs(), this.#version.stateVersion);
    return this.content();
  }
}

function readLevels(content: unknown): Map<number, number> {
  const levels = Object.entries(asObject(asObject(content)['offsetTable']))
    .map(([level, offset]): [number, number] => [Number(level), asNumber(offset, -1)])
    .filter(([level, offset]) => Number.isInteger(level) && level > 0 && offset >= 0);
  return new Map(levels);
}
