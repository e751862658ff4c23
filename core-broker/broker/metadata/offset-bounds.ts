// Ends of the data that survived a failover, per group and queue, in `config/drBounds.json`. A group that
// was consuming when data was lost still stands where the lost messages ended, and would skip as many new
// ones: until it has pulled from its bound or below, it is sent back there.
// The file is there as long as a bound is, so that neither a restart nor a later switch forgets a group
// that did not pull in between; code 43 carries bounds to a standby, which keeps them for its promotion.
// A spent bound may come back after a crash (the file is written every 5 s): messages come twice then.
// Source: ours; Apache skips in this case.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { DrError, fsyncFolderSync, readTextIfExists, writeAtomicSync } from '../../base/index.ts';
import { asNumber, asObject, type JsonObject } from './json-file.ts';

/** `topic@group` -> queue -> next offset of the queue in the data that is here. */
type Bounds = Map<string, Map<number, number>>;

export class OffsetBounds {
  readonly #file: string;
  #bounds: Bounds;
  /** What the file holds; '' = there is none. */
  #saved: string;
  #isEnforced = true;

  /** @throws DrError CORRUPT: guessing could make a group skip messages */
  constructor(file: string) {
    this.#file = file;
    this.#saved = readTextIfExists(file) ?? '';
    this.#bounds = readBounds(parsed(file, this.#saved));
  }

  /** On a standby bounds are only kept: who reads there has its own idea of where it is. */
  enforce(isEnforced: boolean): void {
    this.#isEnforced = isEnforced;
  }

  /** The lower bound counts: each failover may have cut below the last one. */
  add(name: string, queueId: number, end: number): void {
    const queues = this.#bounds.get(name) ?? new Map<number, number>();
    this.#bounds.set(name, queues);
    queues.set(queueId, Math.min(end, queues.get(queueId) ?? end));
  }

  of(name: string, queueId: number): number | undefined {
    if (this.#bounds.size === 0 || !this.#isEnforced) return undefined;
    return this.#bounds.get(name)?.get(queueId);
  }

  spend(name: string, queueId: number): void {
    const queues = this.#bounds.get(name);
    queues?.delete(queueId);
    if (queues?.size === 0) this.#bounds.delete(name);
  }

  removeWhere(isGone: (name: string) => boolean): void {
    for (const name of [...this.#bounds.keys()].filter(isGone)) this.#bounds.delete(name);
  }

  /** Takes over what the active side said; undefined = it has none. */
  replaceAll(content: unknown): void {
    this.#bounds = readBounds(content);
  }

  /** Undefined when there is nothing to say, so that a stock reader never sees it. */
  content(): JsonObject | undefined {
    if (this.#bounds.size === 0) return undefined;
    return Object.fromEntries(
      [...this.#bounds].map(([name, queues]) => [name, Object.fromEntries(queues)]),
    );
  }

  /** Bounds came or went since the file was written. */
  get isBehind(): boolean {
    return this.#text() !== this.#saved;
  }

  #text(): string {
    const content = this.content();
    return content === undefined ? '' : JSON.stringify(content);
  }

  /** Durable on return; the file goes with the last bound. */
  save(): void {
    const text = this.#text();
    if (text === this.#saved) return;
    if (text === '') {
      fs.rmSync(this.#file, { force: true });
      fsyncFolderSync(path.dirname(this.#file));
    } else {
      fs.mkdirSync(path.dirname(this.#file), { recursive: true });
      writeAtomicSync(this.#file, text);
    }
    this.#saved = text;
  }
}

function parsed(file: string, text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DrError('CORRUPT', `${file} is not readable JSON`, {
      cause,
      hint: 'move it away to let consumers that were running at a failover go on where they stand',
    });
  }
}

function readBounds(content: unknown): Bounds {
  const bounds: Bounds = new Map();
  for (const [name, queues] of Object.entries(asObject(content))) {
    const ends = Object.entries(asObject(queues))
      .map(([queueId, end]): [number, number] => [Number(queueId), asNumber(end, -1)])
      .filter(([queueId, end]) => Number.isInteger(queueId) && end >= 0);
    if (ends.length > 0) bounds.set(name, new Map(ends));
  }
  return bounds;
}
