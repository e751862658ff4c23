// A copy through the link against its source: random records, random cuts of the stream, reconnects and
// restarts in between. The copy's log and queues must equal the source's at every point.
import * as fs from 'node:fs';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Epoch } from '../../core-broker/base/index.ts';
import { type MessageStore, openStore } from '../../core-broker/store/index.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../support/store-options.ts';

const SMALL = { mappedFileSizeCommitLog: 4096, maxMessageSizeBytes: 3000 };
const STANDBY = { ...SMALL, region: 'west', initialRole: 'standby' as const };

async function readAll(store: MessageStore): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let at = 0; ; ) {
    const piece = await store.readLog(at, 1_000_000);
    if (piece === undefined) return Buffer.concat(pieces);
    pieces.push(piece);
    at += piece.length;
  }
}

const message = fc.record({
  queueId: fc.integer({ min: 0, max: 2 }),
  size: fc.integer({ min: 0, max: 2500 }),
  sysFlag: fc.constantFrom(0, 0, 0, 4, 8, 12),
  properties: fc.constantFrom({}, { TAGS: 'a' }, { KEYS: 'k1 k2', TAGS: 'ß' }),
});
const cut = fc.record({
  size: fc.integer({ min: 1, max: 6000 }),
  next: fc.constantFrom('go', 'go', 'go', 'go', 'reconnect', 'restart'),
});

test('any way to cut the stream gives the same log and queues', async () => {
  const property = fc.asyncProperty(
    fc.array(message, { minLength: 1, maxLength: 30 }),
    fc.infiniteStream(cut),
    async (messages, cuts) => {
      const roots = [tempFolder(), tempFolder()] as const;
      const source = await openStore(smallStoreOptions(roots[0], SMALL));
      for (const each of messages) {
        const body = Buffer.alloc(each.size, each.size);
        source.append(recordSource(source, { ...each, body }));
      }
      await source.flush();
      await source.dispatched();
      const bytes = await readAll(source);
      let copy = await openStore(smallStoreOptions(roots[1], STANDBY));
      let at = 0;
      while (at < bytes.length) {
        const { size, next } = cuts.next().value as { size: number; next: string };
        const piece = Buffer.from(bytes.subarray(at, at + size));
        copy.appendExact(at, piece, 0 as Epoch);
        at += piece.length;
        expect(copy.storeBounds().maxOffset).toBe(at);
        expect(copy.validatedEnd()).toBeLessThanOrEqual(at);
        if (next === 'restart') {
          await copy.close();
          copy = await openStore(smallStoreOptions(roots[1], STANDBY));
          expect(copy.storeBounds().maxOffset).toBe(copy.validatedEnd());
        }
        if (next !== 'go') at = copy.validatedEnd();
      }
      expect((await readAll(copy)).equals(bytes)).toBe(true);
      expect([...copy.queues()]).toEqual([...source.queues()]);
      expect(copy.lastRecordOffset()).toBe(source.lastRecordOffset());
      await copy.close();
      await source.close();
      for (const root of roots) fs.rmSync(root, { recursive: true });
    },
  );
  await fc.assert(property, { numRuns: 25, interruptAfterTimeLimit: 8_000 });
});
