// dr reconcile list: what an old store holds beyond the history that was promoted. Reads only; the old
// store may be down, damaged at its end, or read-only. Source: the lineage of the active region, and the
// old store's own drEpoch; the first byte that the active region does not share is where the tail begins.
import * as fs from 'node:fs';
import { DrError, fsyncFolderSync } from '../../core-broker/base/index.ts';
import { createDrClient } from '../../core-broker/client/index.ts';
import { DR_CODE, type DrStatus, type LineageEntry } from '../../core-broker/protocol/index.ts';
import { openLogReader, readEpochFile } from '../../core-broker/store/index.ts';
import type { CommandInput } from '../command.ts';
import type { DrConfig } from '../config/dr-config.ts';
import { openDrConfig } from '../config/identity.ts';
import { EXIT } from '../exit-status.ts';
import { formatOf, printAnswer } from '../output.ts';

interface TailCount {
  queue: string;
  messages: number;
  firstOffset: number;
  lastOffset: number;
}

/** `dr reconcile list --store FOLDER`: exit 0 when there is no tail, 3 when there is one. */
export async function runReconcileList(input: CommandInput): Promise<number> {
  const folder = String(input.options['store']);
  const format = formatOf(input);
  const given = input.options['from'];
  const from =
    typeof given === 'number'
      ? given
      : await divergence(folder, openDrConfig(String(input.options['config'])));
  const file = input.options['export'];
  const tail = await readTail(folder, from, typeof file === 'string' ? file : undefined);
  const queues = [...tail.queues.values()].sort((a, b) => a.queue.localeCompare(b.queue));
  printAnswer(format, {
    json: { store: folder, from, messages: tail.messages, bytes: tail.bytes, queues },
    text: `${tail.messages} messages (${tail.bytes} bytes) at and after log offset ${from}`,
    head: ['queue', 'messages', 'first offset', 'last offset'],
    rows: queues.map((each) => [each.queue, each.messages, each.firstOffset, each.lastOffset]),
  });
  return tail.messages === 0 ? EXIT.DONE : EXIT.INCOMPLETE;
}

/**
 * First log offset of the old store that the active region does not have.
 * @throws DrError UNREACHABLE when no active region answers, NOT_FOUND without drEpoch
 */
async function divergence(folder: string, config: DrConfig): Promise<number> {
  const old = readEpochFile(folder);
  if (!old) {
    throw new DrError('NOT_FOUND', `${folder} has no drEpoch`, { hint: 'say --from OFFSET' });
  }
  const client = createDrClient({ secret: config.secret });
  try {
    const addresses = Object.values(config.regions).flatMap((each) => Object.values(each.brokers));
    const asked = await Promise.allSettled(
      addresses.map((address) =>
        client.control<DrStatus>(address, { code: DR_CODE.STATUS, body: {} }, 2_000),
      ),
    );
    const answers = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
    const active = answers
      .filter((each) => each.role === 'active')
      .sort(byEpoch)
      .at(-1);
    if (!active) throw new DrError('UNREACHABLE', 'no active region answers; say --from OFFSET');
    return commonEnd(old.lineage, active);
  } finally {
    client.close();
  }
}

const byEpoch = (a: DrStatus, b: DrStatus): number => a.epoch - b.epoch;

/** End of the history both share: where the first entry begins that only the active region has. */
export function commonEnd(old: LineageEntry[], active: DrStatus): number {
  const own = new Set(old.map((entry) => `${entry.epoch} ${entry.boot} ${entry.startOffset}`));
  const foreign = active.lineage.find(
    (entry) => !own.has(`${entry.epoch} ${entry.boot} ${entry.startOffset}`),
  );
  return foreign?.startOffset ?? active.maxOffset;
}

interface Tail {
  messages: number;
  bytes: number;
  queues: Map<string, TailCount>;
}

async function readTail(folder: string, from: number, file: string | undefined): Promise<Tail> {
  const reader = openLogReader(folder);
  const tail: Tail = { messages: 0, bytes: 0, queues: new Map() };
  const out = file === undefined ? undefined : fs.openSync(file, 'wx');
  try {
    for await (const record of reader.scan(from)) {
      tail.messages++;
      tail.bytes += record.sizeBytes;
      countRecord(tail.queues, `${record.topic}@${record.queueId}`, record.queueOffset);
      if (out !== undefined) fs.writeSync(out, record.bytes);
    }
    if (out !== undefined) fs.fsyncSync(out);
    if (file !== undefined) fsyncFolderSync('.');
  } finally {
    if (out !== undefined) fs.closeSync(out);
    reader.close();
  }
  return tail;
}

function countRecord(queues: Map<string, TailCount>, queue: string, offset: number): void {
  const known = queues.get(queue);
  if (!known) queues.set(queue, { queue, messages: 1, firstOffset: offset, lastOffset: offset });
  else {
    known.messages++;
    known.lastOffset = offset;
  }
}
