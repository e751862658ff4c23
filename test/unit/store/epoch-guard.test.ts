// The guard decides every append; these tests fail when its call is removed from append or appendExact.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DrError, type Epoch } from '../../../core-broker/base/index.ts';
import type { WriteState } from '../../../core-broker/protocol/index.ts';
import {
  type MessageStore,
  openStore,
  readEpochFile,
  type StoreOptions,
} from '../../../core-broker/store/index.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../../support/store-options.ts';

let root = '';
let store: MessageStore;
beforeEach(() => {
  root = tempFolder();
});
afterEach(async () => {
  await store.close();
  fs.rmSync(root, { recursive: true });
});

const open = async (changed: Partial<StoreOptions> = {}): Promise<MessageStore> => {
  store = await openStore(smallStoreOptions(root, { region: 'east', ...changed }));
  return store;
};
const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (reason) {
    return DrError.from(reason).code;
  }
  return 'done';
};

/** Brings an active store (or a standby) into each write state. */
const STATES: Record<WriteState, { role: 'active' | 'standby'; enter: () => void }> = {
  open: { role: 'active', enter: () => store.guard.open(1) },
  fenced: {
    role: 'active',
    enter: () => {
      store.guard.open(1);
      store.guard.fence('op');
    },
  },
  sealed: {
    role: 'active',
    enter: () => {
      store.guard.open(1);
      store.guard.seal('op');
    },
  },
  closed: { role: 'active', enter: () => undefined },
  deposed: {
    role: 'active',
    enter: () => {
      store.guard.open(1);
      store.guard.depose({ region: 'west', epoch: 2 });
    },
  },
  standby: { role: 'standby', enter: () => store.guard.adoptLineage(1, []) },
};
/** What a local append and a link append at the right epoch answer. */
const ANSWERS: Record<WriteState, [local: string, link: string]> = {
  open: ['done', 'FENCED'],
  fenced: ['FENCED', 'FENCED'],
  sealed: ['FENCED', 'FENCED'],
  closed: ['FENCED', 'FENCED'],
  deposed: ['FENCED', 'FENCED'],
  standby: ['NOT_MASTER', 'done'],
};

/** One valid record for an empty log, made by another store. */
async function foreignRecord(): Promise<Buffer> {
  const other = tempFolder();
  const source = await openStore(smallStoreOptions(other));
  source.append(recordSource(source));
  await source.flush();
  const bytes = source.readRecord(0);
  await source.close();
  fs.rmSync(other, { recursive: true });
  return bytes;
}

describe('every append asks the guard', () => {
  for (const [state, { role, enter }] of Object.entries(STATES)) {
    test(`in state ${state}`, async () => {
      await open({ initialRole: role });
      enter();
      expect(store.guard.writeState).toBe(state);
      const bytes = await foreignRecord();
      const [local, link] = ANSWERS[state as WriteState];
      expect(codeOf(() => store.appendExact(0, bytes, 1 as Epoch))).toBe(link);
      expect(codeOf(() => store.append(recordSource(store)))).toBe(local);
      const wasTaken = local === 'done' || link === 'done';
      expect(store.storeBounds().maxOffset > 0).toBe(wasTaken);
    });
  }

  test('a link of another epoch is refused', async () => {
    await open({ initialRole: 'standby' });
    store.guard.adoptLineage(3, []);
    const bytes = await foreignRecord();
    for (const epoch of [2, 4]) {
      expect(codeOf(() => store.appendExact(0, bytes, epoch as Epoch))).toBe('FENCED');
    }
    expect(codeOf(() => store.appendExact(0, bytes, 3 as Epoch))).toBe('done');
  });

  test('a plain broker is open, writes no file and takes no link', async () => {
    await open({ region: undefined });
    expect(codeOf(() => store.append(recordSource(store)))).toBe('done');
    expect(codeOf(() => store.appendExact(0, Buffer.alloc(4), 0 as Epoch))).toBe('FENCED');
    expect(codeOf(() => store.guard.seal('op'))).toBe('REFUSED');
    expect(fs.existsSync(path.join(root, 'drEpoch'))).toBe(false);
  });
});

describe('what is on disk is what is in force', () => {
  test('a boot of an active side is closed until the boot check opened it', async () => {
    await open();
    store.guard.open(1);
    await store.close();
    await open();
    expect(store.guard.writeState).toBe('closed');
    expect(codeOf(() => store.guard.open(2))).toBe('FENCED');
    store.guard.open(1);
    expect(store.guard.writeState).toBe('open');
  });

  test('a seal survives a restart and only its opId lifts it', async () => {
    await open();
    store.guard.open(1);
    store.guard.fence('op-1');
    expect(codeOf(() => store.guard.seal('op-2'))).toBe('REFUSED');
    store.guard.seal('op-1');
    expect(readEpochFile(root)?.sealedBy).toBe('op-1');
    await store.close();
    await open();
    expect(store.guard.writeState).toBe('sealed');
    expect(codeOf(() => store.guard.open(1))).toBe('REFUSED');
    expect(codeOf(() => store.guard.unseal('op-2'))).toBe('REFUSED');
    store.guard.unseal('op-1');
    expect(store.guard.writeState).toBe('closed');
  });

  test('a fence does not survive a restart', async () => {
    await open();
    store.guard.open(1);
    store.guard.fence('op-1');
    store.guard.unfence('op-1');
    expect(store.guard.writeState).toBe('open');
  });

  test('promote is a compare-and-set and idempotent by opId', async () => {
    await open({ initialRole: 'standby' });
    store.guard.adoptLineage(4, [{ epoch: 4, boot: 'a', startOffset: 0 }]);
    const change = { opId: 'op', fromEpoch: 4, startOffset: 10 };
    expect(codeOf(() => store.guard.promote({ ...change, fromEpoch: 3 }))).toBe('FENCED');
    store.guard.promote(change);
    store.guard.promote(change);
    expect(codeOf(() => store.guard.promote({ ...change, opId: 'other' }))).toBe('REFUSED');
    expect(store.guard.writeState).toBe('open');
    const { lineage, epoch } = store.guard.state;
    expect(epoch).toBe(5);
    expect(lineage.map((entry) => [entry.epoch, entry.startOffset])).toEqual([
      [4, 0],
      [5, 10],
    ]);
    expect(readEpochFile(root)?.lineage).toEqual(lineage);
  });

  test('a deposed side stays closed over a restart until it is demoted', async () => {
    await open();
    store.guard.open(1);
    store.guard.depose({ region: 'west', epoch: 2 });
    await store.close();
    await open();
    expect(store.guard.writeState).toBe('deposed');
    expect(codeOf(() => store.guard.open(1))).toBe('REFUSED');
    expect(codeOf(() => store.guard.demote({ opId: 'd', epoch: 1, lineage: [] }))).toBe('FENCED');
    store.guard.demote({ opId: 'd', epoch: 2, lineage: [{ epoch: 2, boot: 'b', startOffset: 0 }] });
    expect(store.guard.writeState).toBe('standby');
    expect(store.guard.state.deposedBy).toBeUndefined();
  });

  test('a damaged epoch file refuses to open', async () => {
    await open();
    await store.close();
    const file = path.join(root, 'drEpoch');
    const text = fs.readFileSync(file, 'utf8');
    fs.writeFileSync(file, text.replace('"epoch":1', '"epoch":9'));
    await expect(open()).rejects.toMatchObject({ code: 'CORRUPT' });
    fs.writeFileSync(file, text);
    await open();
    expect(store.guard.state.epoch).toBe(1);
  });

  test('a store of another region is refused', async () => {
    await open();
    await store.close();
    await expect(open({ region: 'west' })).rejects.toMatchObject({ code: 'REFUSED' });
    await open();
  });

  test('a change that cannot be written is not in force and closes the store', async () => {
    await open();
    store.guard.open(1);
    fs.mkdirSync(path.join(root, 'drEpoch.tmp'));
    expect(codeOf(() => store.guard.seal('op'))).not.toBe('done');
    expect(store.guard.state.sealedBy).toBeUndefined();
    expect(codeOf(() => store.append(recordSource(store)))).toBe('FENCED');
    fs.rmdirSync(path.join(root, 'drEpoch.tmp'));
    store.guard.seal('op');
    expect(store.guard.writeState).toBe('sealed');
  });

  test('the log of an active side is never cut, whether it takes writes or not', async () => {
    await open();
    await expect(store.truncate(0)).rejects.toThrow('closed');
    store.guard.open(1);
    await expect(store.truncate(0)).rejects.toThrow('open');
    store.guard.seal('op');
    await expect(store.truncate(0)).rejects.toThrow('sealed');
    store.guard.depose({ region: 'west', epoch: 2 });
    await expect(store.truncate(0)).rejects.toThrow('deposed');
    const { lineage } = store.guard.state;
    store.guard.demote({ opId: 'op', epoch: 2, lineage });
    await store.truncate(0);
  });

  test('an abnormal boot of an active side begins a new stretch, a clean one does not', async () => {
    await open();
    store.guard.open(1);
    store.append(recordSource(store));
    await store.close();
    await open();
    expect(store.guard.state.lineage).toHaveLength(1);
    const end = store.storeBounds().maxOffset;
    await store.close();
    fs.writeFileSync(path.join(root, 'abort'), '');
    await open();
    const { lineage } = store.guard.state;
    expect(lineage).toHaveLength(2);
    expect(lineage[1]).toMatchObject({ epoch: 1, startOffset: end });
    expect(lineage[1]?.boot).not.toBe(lineage[0]?.boot);
  });

  test('an abnormal boot of a standby changes no history', async () => {
    await open({ initialRole: 'standby' });
    store.guard.adoptLineage(1, [{ epoch: 1, boot: 'a', startOffset: 0 }]);
    await store.close();
    fs.writeFileSync(path.join(root, 'abort'), '');
    await open({ initialRole: 'standby' });
    expect(store.guard.state.lineage).toEqual([{ epoch: 1, boot: 'a', startOffset: 0 }]);
  });
});
