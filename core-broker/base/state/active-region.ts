// The durable register of who is active, kept by every part that sends clients somewhere (global name
// server, gateway). Invariant: the epoch only grows, also over restarts, and a change is on disk before
// anybody is told or routed by it. A file that cannot be trusted stops the start: guessing would allow
// an old flip to win. File: one JSON object with a CRC over its other fields. Source: ours.
import * as path from 'node:path';
import { crc32 } from 'node:zlib';
import { makeFolder, readTextIfExists, writeAtomicSync } from '../atomic-file.ts';
import { DrError } from '../errors.ts';

const VERSION = 1;

export interface ActiveRegion {
  region: string;
  epoch: number;
  /** Operation that made it so; empty until the first flip. */
  opId: string;
}

/** What became of a proposal; `stale` and `conflict` changed nothing. */
export type FlipVerdict = 'flipped' | 'repeated' | 'stale' | 'conflict';

export class ActiveRegionRegister {
  readonly #file: string;
  #current: ActiveRegion;

  private constructor(file: string, current: ActiveRegion) {
    this.#file = file;
    this.#current = current;
  }

  /**
   * Opens the register; a missing file means epoch 0 with `initialRegion`.
   * @throws DrError CORRUPT when the file exists and does not hold together
   */
  static open(file: string, initialRegion: string): ActiveRegionRegister {
    makeFolder(path.dirname(file));
    const text = readTextIfExists(file);
    const initial = { region: initialRegion, epoch: 0, opId: '' };
    return new ActiveRegionRegister(file, text === undefined ? initial : decode(file, text));
  }

  get current(): Readonly<ActiveRegion> {
    return this.#current;
  }

  /**
   * Takes a higher epoch. Order: durable first, then in force, then the caller answers.
   * @throws system errors of the write; the old state is then still in force
   */
  propose(next: ActiveRegion): FlipVerdict {
    const { region, epoch } = this.#current;
    if (next.epoch < epoch) return 'stale';
    if (next.epoch === epoch) return next.region === region ? 'repeated' : 'conflict';
    writeAtomicSync(this.#file, encode(next));
    this.#current = { ...next };
    return 'flipped';
  }
}

function encode(state: ActiveRegion): string {
  const { region, epoch, opId } = state;
  const content = { version: VERSION, region, epoch, opId };
  return `${JSON.stringify({ ...content, crc: crc32(JSON.stringify(content)) })}\n`;
}

function decode(file: string, text: string): ActiveRegion {
  const parsed = parseObject(text);
  const { crc, ...content } = parsed ?? {};
  const sound =
    content['version'] === VERSION &&
    typeof content['region'] === 'string' &&
    Number.isSafeInteger(content['epoch']) &&
    typeof content['opId'] === 'string' &&
    crc === crc32(JSON.stringify(content));
  if (!sound) {
    throw new DrError('CORRUPT', `${file}: the active-region file is damaged`, {
      hint: 'ask the other name servers and the brokers for the epoch, then remove the file',
    });
  }
  const { region, epoch, opId } = content as unknown as ActiveRegion;
  return { region, epoch, opId };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (reason) {
    if (reason instanceof SyntaxError) return undefined;
    throw reason;
  }
}
