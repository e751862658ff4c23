// A topic whose queues were deleted and that was made again: nothing of the new one is lost, nothing of
// the old one comes back, whatever the process dies of; and the same on a copy fed by the link.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { describe, expect, test } from 'vitest';
import { epoch } from '../../../core-broker/base/index.ts';
import type { MessageStore } from '../../../core-broker/store/index.ts';
import { appendMessage, logBytes, openSmallStore, tempFolder } from '../../support/small-store.ts';

const ALL = { messagesMax: 100, bytesMax: 1_000_000, tagCodes: undefined };
const QUEUE = { topic: 'T', queueId: 0 };
const unused = () => true;

async function write(store: MessageStore, topic: string, bodies: string[]): Promise<void> {
  for (const body of bodies) appendMessage(store, { topic, body });
  await store.dispatched();
}

const bodiesIn = (store: MessageStore, from = 0): string =>
  Buffer.concat(store.pull(QUEUE, from, ALL).chunks).toString('latin1');

/** What a machine finds that took over the files of a killed process. */
function killed(root: string): string {
  const copy = tempFolder('killed');
  fs.cpSync(root, copy, { recursive: true, filter: (file) => !file.endsWith('drLock') });
  return copy;
}

describe('a deleted topic', () => {
  test('loses its queues and files, and begins at 0 when it is made again', async () => {
    const root = tempFolder('deleted');
    const store = await openSmallStore({ root });
    await write(store, 'T', ['old-0', 'old-1', 'old-2']);
    await store.flush();
    expect(await store.removeTopic('T', unused)).toBe(true);
    expect(store.bounds(QUEUE)).toBeUndefined();
    expect(fs.existsSync(path.join(root, 'consumequeue', 'T'))).toBe(false);
    await write(store, 'T', ['new-0']);
    expect(store.bounds(QUEUE)).toEqual({ min: 0, max: 1 });
    expect(bodiesIn(store)).toContain('new-0');
    await store.close();
  });

  test('keeps its new messages and not its old ones over kill -9 at any moment', async () => {
    const root = tempFolder('deleted');
    const store = await openSmallStore({ root });
    await write(store, 'T', ['old-0', 'old-1', 'old-2']);
    await write(store, 'other', ['o']);
    await store.flush();
    await store.removeTopic('T', unused);
    const beforeNew = killed(root);
    await write(store, 'T', ['new-0', 'new-1']);
    await store.flush();
    const afterNew = killed(root);
    await store.close();

    const first = await openSmallStore({ root: beforeNew });
    expect(first.bounds(QUEUE)).toBeUndefined();
    await first.close();
    for (const folder of [afterNew, root]) {
      const again = await openSmallStore({ root: folder });
      expect(again.bounds(QUEUE)).toEqual({ min: 0, max: 2 });
      expect(bodiesIn(again)).toMatch(/new-0[\s\S]*new-1/);
      expect(bodiesIn(again)).not.toContain('old');
      await again.close();
    }
  });

  test('is gone after a crash between the note and the files', async () => {
    const root = tempFolder('deleted');
    const store = await openSmallStore({ root });
    await write(store, 'T', ['old-0', 'old-1']);
    await store.flush();
    const end = store.storeBounds().maxOffset;
    await store.close();
    fs.writeFileSync(path.join(root, 'drDeletedTopics'), JSON.stringify({ T: end }));
    const again = await openSmallStore({ root });
    expect(again.bounds(QUEUE)).toBeUndefined();
    await write(again, 'T', ['new-0']);
    expect(again.bounds(QUEUE)).toEqual({ min: 0, max: 1 });
    await again.close();
  });

  test('stays when somebody made it again in the meantime', async () => {
    const store = await openSmallStore();
    await write(store, 'T', ['old-0']);
    expect(await store.removeTopic('T', () => false)).toBe(false);
    expect(store.bounds(QUEUE)).toEqual({ min: 0, max: 1 });
    await store.close();
  });

  test('begins again on a copy too: the link brings offset 0 a second time', async () => {
    const root = tempFolder('deleted');
    const source = await openSmallStore({ root, region: 'a' });
    source.guard.open(source.guard.state.epoch);
    await write(source, 'T', ['old-0', 'old-1', 'old-2']);
    await source.removeTopic('T', unused);
    await write(source, 'T', ['new-0', 'new-1']);
    await source.flush();
    const { minOffset, maxOffset } = source.storeBounds();
    const bytes = logBytes(root, minOffset, maxOffset);
    const copyRoot = tempFolder('copy');
    const copy = await openSmallStore({ root: copyRoot, region: 'b', initialRole: 'standby' });
    copy.appendExact(0, bytes, epoch(copy.guard.state.epoch));
    await copy.dispatched();
    expect(copy.bounds(QUEUE)).toEqual({ min: 0, max: 2 });
    expect(bodiesIn(copy)).toMatch(/new-0[\s\S]*new-1/);
    await copy.close();
    const again = await openSmallStore({ root: copyRoot, region: 'b' });
    expect(again.bounds(QUEUE)).toEqual({ min: 0, max: 2 });
    await again.close();
    await source.close();
  });
});
