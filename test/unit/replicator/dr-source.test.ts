// What a link makes of the answer to its attach: the two checks only this side can make.
import { expect, test } from 'vitest';
import type { Epoch } from '../../../core-broker/base/index.ts';
import type { DrClient } from '../../../core-broker/client/index.ts';
import type { AttachResult } from '../../../core-broker/protocol/index.ts';
import type { SinkPosition } from '../../../replicator/ports.ts';
import { DrSource } from '../../../replicator/source/dr-source.ts';

const ANSWER: AttachResult = {
  verdict: 'resume',
  reason: '',
  truncateTo: 0,
  minOffset: 0,
  maxOffset: 500,
  epoch: 2,
  lineage: [],
  haAddress: '127.0.0.1:1',
  storeId: 'theirs',
  region: 'east',
  mappedFileSizeCommitLog: 1_024,
} as AttachResult;

const POSITION = {
  offset: 100,
  epoch: 2 as Epoch,
  lastRecordCrc: 0,
  lastRecordOffset: -1,
  lineage: [],
};

function attach(answer: Partial<AttachResult>, position = POSITION) {
  const client = { control: async () => ({ ...ANSWER, ...answer }) } as unknown as DrClient;
  const source = new DrSource(client, client, {
    address: 'east:1',
    linkId: 'l',
    ownStoreId: 'ours',
    ownRegion: 'west',
    timeoutMs: 1,
    sampleTimeoutMs: 1,
  });
  return source.attach(position as unknown as SinkPosition);
}

test('a source of our epoch or a later one is followed, one of an older epoch is not', async () => {
  expect(await attach({})).toMatchObject({ verdict: 'resume' });
  expect(await attach({ epoch: 3 })).toMatchObject({ verdict: 'resume' });
  expect(await attach({ epoch: 1 })).toMatchObject({ verdict: 'refused' });
});

test('a source that is this very store or region is a loop', async () => {
  expect(await attach({ storeId: 'ours' })).toMatchObject({ verdict: 'loop' });
  expect(await attach({ region: 'west' })).toMatchObject({ verdict: 'loop' });
});

test('retention that overtook the copy is a gap', async () => {
  expect(await attach({ minOffset: 101 })).toMatchObject({ verdict: 'gap' });
});
