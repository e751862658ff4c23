// What a link remembers over restarts, as files beside the store's state file:
//   drLink                  halted or not, by which operation, at which epoch (fsynced)
//   drLinkSample            last sample of the source: basis of a loss statement (at most each second,
//                           not fsynced: a lost one only widens "unknown since")
//   drGap-<from>-<to>.json  bytes that retention deleted at the source before they were copied (fsynced)
// Invariant: each carries the epoch it was written at; one of an older epoch decides nothing.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { z } from 'zod';
import { DrError, readTextIfExists, writeAtomicSync } from '../core-broker/base/index.ts';

const linkFileSchema = z.strictObject({
  formatVersion: z.literal(1),
  linkId: z.string(),
  epoch: z.number().int().min(0),
  haltedBy: z.string().nullable(),
  changedAtMs: z.number(),
});
export type LinkFile = z.output<typeof linkFileSchema>;

const sampleFileSchema = z.strictObject({
  formatVersion: z.literal(1),
  source: z.string(),
  epoch: z.number().int().min(0),
  sampledAtMs: z.number(),
  minOffset: z.number(),
  maxOffset: z.number(),
  queueMaxima: z.record(z.string(), z.number()),
});
export type SampleFile = z.output<typeof sampleFileSchema>;

export interface GapRecord {
  /** First byte that is missing here. */
  from: number;
  /** First byte the source still has. */
  to: number;
  source: string;
  epoch: number;
  detectedAtMs: number;
}

export class LinkFiles {
  readonly #folder: string;

  /** @param folder the store root, where drEpoch is */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @throws DrError CORRUPT when the file is there and cannot be read */
  readLink(): LinkFile | undefined {
    return this.#read('drLink', linkFileSchema);
  }

  /** Durable on return. */
  writeLink(content: LinkFile): void {
    writeAtomicSync(this.#file('drLink'), `${JSON.stringify(content)}\n`);
  }

  readSample(): SampleFile | undefined {
    return this.#read('drLinkSample', sampleFileSchema);
  }

  /** Whole or old content after a kill; not fsynced. */
  async writeSample(content: SampleFile): Promise<void> {
    const file = this.#file('drLinkSample');
    await fs.promises.writeFile(`${file}.tmp`, JSON.stringify(content));
    await fs.promises.rename(`${file}.tmp`, file);
  }

  /** Durable on return. @returns the file */
  writeGap(gap: GapRecord): string {
    const file = this.#file(`drGap-${gap.from}-${gap.to}.json`);
    writeAtomicSync(file, `${JSON.stringify(gap, undefined, 2)}\n`);
    return file;
  }

  #file(name: string): string {
    return path.join(this.#folder, name);
  }

  #read<T>(name: string, schema: z.ZodType<T>): T | undefined {
    const text = readTextIfExists(this.#file(name));
    if (text === undefined) return undefined;
    try {
      return schema.parse(JSON.parse(text));
    } catch (cause) {
      throw new DrError('CORRUPT', `${this.#file(name)} is damaged`, {
        cause,
        hint: 'keep a copy of the file for the report, then remove it',
      });
    }
  }
}
