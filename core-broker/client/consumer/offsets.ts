// Where a group stands in each queue: read once when a queue is taken, written every few seconds.
// Clustering groups keep offsets on the broker (14, 15); broadcast consumers keep their own, in a file
// if one is named. Invariant: a failed question is asked again and never read as "no offset", so an
// error cannot make a group skip messages. A refused commit stays due and goes to whoever leads next.
import { DrError, readTextIfExists, writeAtomicSync } from '../../base/index.ts';
import type { MessageQueue } from '../../protocol/index.ts';
import { RequestCode, ResponseCode } from '../../protocol/index.ts';
import type { PeerClient } from '../door.ts';
import { remoteCode } from '../peer-client.ts';
import { queueKey } from './rebalance.ts';

const TIMEOUT_MS = 3_000;

type Locate = (queue: MessageQueue) => string | undefined;

export interface OffsetStore {
  /** Stored offset, undefined when the group never committed. @throws DrError when it cannot be known */
  read(queue: MessageQueue): Promise<number | undefined>;
  /** Next offset to consume; kept in memory until flush. */
  update(queue: MessageQueue, offset: number): void;
  /** Writes what changed; what failed stays due. Returns the number still due. */
  flush(): Promise<number>;
  /** The queue belongs to somebody else now. */
  forget(queue: MessageQueue): void;
}

export async function readOffset(
  peer: PeerClient,
  address: string,
  group: string,
  q: MessageQueue,
) {
  const ext = { consumerGroup: group, topic: q.topic, queueId: q.queueId, bname: q.brokerName };
  try {
    const request = { code: RequestCode.QUERY_CONSUMER_OFFSET, ext };
    const response = await peer.call(address, request, TIMEOUT_MS);
    const offset = Number(response.ext['offset'] ?? -1);
    return offset >= 0 ? offset : undefined;
  } catch (reason) {
    if (remoteCode(reason) === ResponseCode.QUERY_NOT_FOUND) return undefined;
    throw reason;
  }
}

export async function commitOffset(
  peer: PeerClient,
  address: string,
  place: { group: string; queue: MessageQueue; offset: number },
): Promise<void> {
  const ext = {
    consumerGroup: place.group,
    topic: place.queue.topic,
    queueId: place.queue.queueId,
    commitOffset: place.offset,
    bname: place.queue.brokerName,
  };
  await peer.call(address, { code: RequestCode.UPDATE_CONSUMER_OFFSET, ext }, TIMEOUT_MS);
}

/** Offsets of a clustering group, kept by the master of each queue. */
export function remoteOffsets(peer: PeerClient, group: string, locate: Locate): OffsetStore {
  const due = new Map<string, { queue: MessageQueue; offset: number }>();
  const addressOf = (queue: MessageQueue): string => {
    const address = locate(queue);
    if (address === undefined) throw new DrError('NO_ROUTE', `no broker for ${queueKey(queue)}`);
    return address;
  };
  const commit = async (key: string): Promise<void> => {
    const entry = due.get(key);
    if (!entry) return;
    await commitOffset(peer, addressOf(entry.queue), { group, ...entry });
    // A newer offset may have come meanwhile: only what was sent is no longer due.
    if (due.get(key) === entry) due.delete(key);
  };
  return {
    read: async (queue) => readOffset(peer, addressOf(queue), group, queue),
    update: (queue, offset) => void due.set(queueKey(queue), { queue, offset }),
    forget: (queue) => void due.delete(queueKey(queue)),
    async flush() {
      await Promise.allSettled([...due.keys()].map(commit));
      return due.size;
    },
  };
}

/** Offsets of one broadcast consumer. @param file kept over restarts when given */
export function localOffsets(file: string | undefined): OffsetStore {
  const text = file === undefined ? undefined : readTextIfExists(file);
  const table: Record<string, number> = text === undefined ? {} : JSON.parse(text);
  let isDirty = false;
  return {
    read: async (queue) => table[queueKey(queue)],
    update(queue, offset) {
      table[queueKey(queue)] = offset;
      isDirty = true;
    },
    // A broadcast consumer keeps its place even while the queue is out of the route.
    forget: () => undefined,
    async flush() {
      if (isDirty && file !== undefined) writeAtomicSync(file, JSON.stringify(table));
      isDirty = false;
      return 0;
    },
  };
}
