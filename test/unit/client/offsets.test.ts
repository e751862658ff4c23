import { describe, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import { remoteOffsets } from '../../../core-broker/client/consumer/offsets.ts';
import type { PeerClient } from '../../../core-broker/client/index.ts';
import type { RemotingCommand, RequestInit } from '../../../core-broker/protocol/index.ts';

const queue = { topic: 't', brokerName: 'a', queueId: 0 };

/** A peer whose answers the test decides. */
function peerThat(answer: (request: RequestInit) => Promise<Partial<RemotingCommand>>): PeerClient {
  return {
    call: async (_address: string, request: RequestInit) => answer(request),
  } as unknown as PeerClient;
}

describe('offsets of a group', () => {
  test('an offset that moved while the commit was under way is still due', async () => {
    const sent: unknown[] = [];
    const store = remoteOffsets(
      peerThat(async (request) => {
        sent.push(request.ext?.['commitOffset']);
        if (sent.length === 1) store.update(queue, 9);
        return { ext: {} };
      }),
      'g',
      () => 'h:1',
    );
    store.update(queue, 5);
    expect(await store.flush()).toBe(1);
    expect(await store.flush()).toBe(0);
    expect(sent).toEqual([5, 9]);
  });

  test('a refused commit stays due', async () => {
    let isFenced = true;
    const store = remoteOffsets(
      peerThat(async () => {
        if (isFenced) throw new DrError('REMOTE', 'fenced', { context: { code: 16 } });
        return { ext: {} };
      }),
      'g',
      () => 'h:1',
    );
    store.update(queue, 5);
    expect(await store.flush()).toBe(1);
    isFenced = false;
    expect(await store.flush()).toBe(0);
  });

  test('only "not found" means no offset; any other error is an error', async () => {
    const failing = (code: number) =>
      remoteOffsets(
        peerThat(async () => {
          throw new DrError('REMOTE', 'no', { context: { code } });
        }),
        'g',
        () => 'h:1',
      );
    expect(await failing(22).read(queue)).toBeUndefined();
    await expect(failing(1).read(queue)).rejects.toThrow('no');
    await expect(
      remoteOffsets(
        peerThat(async () => ({})),
        'g',
        () => undefined,
      ).read(queue),
    ).rejects.toThrow(/no broker/);
  });
});
