// The send path of a broker in this process: a real store, the real dispatcher and connections without a
// socket. One world may take runs of sends, another handles every frame by itself; the rest is the same.
import * as fs from 'node:fs';
import * as path from 'node:path';
import type { BrokerDispatcher } from '../../core-broker/broker/dispatcher.ts';
import { brokerConfig } from '../../core-broker/broker/index.ts';
import type { FrameListener } from '../../core-broker/remoting/index.ts';
import type { StoreOptions } from '../../core-broker/store/index.ts';
import { FileMessageStore } from '../../core-broker/store/message-store.ts';
import type { StoreParts } from '../../core-broker/store/store-parts.ts';
import { type Line, openLine } from './send-line.ts';
import { openSendParts, type SendParts } from './send-parts.ts';

export interface SendWorld extends SendParts {
  readonly root: string;
  readonly parts: StoreParts;
  /** Frames that were taken in runs. */
  readonly inRuns: { frames: number };
  connect(): Line;
  /** Everything appended so far is answered and dispatched. */
  settle(): Promise<void>;
}

export interface WorldOptions {
  folder: string;
  takesRuns: boolean;
  store?: Partial<StoreOptions>;
}

export async function sendWorld({ folder, takesRuns, store: changed }: WorldOptions) {
  const root = path.join(folder, takesRuns ? 'runs' : 'single');
  const config = brokerConfig({
    storePathRootDir: root,
    // No part of the ring: it must end within a file too.
    mappedFileSizeCommitLog: 250_000,
    mappedFileSizeConsumeQueue: 20_000,
    maxHashSlotNum: 1_000,
    maxIndexNum: 40_000,
  });
  const opened = await openSendParts(config, changed);
  const { store, dispatcher } = opened;
  const parts = FileMessageStore.partsOf(store);
  const inRuns = { frames: 0 };
  const run = parts.kernel.run.bind(parts.kernel);
  parts.kernel.run = () => {
    const count = run();
    inRuns.frames += count;
    return count;
  };
  const listener = takesRuns ? dispatcher : oneByOne(dispatcher);
  const world: SendWorld = {
    ...opened,
    root,
    parts,
    inRuns,
    connect: () => openLine(listener),
    settle: async () => {
      await store.durable(store.storeBounds().maxOffset);
      await store.dispatched();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
  return world;
}

/** The same listener, but for runs. */
const oneByOne = (inner: BrokerDispatcher): FrameListener => ({
  onFrame: (connection, chunk, start, end) => inner.onFrame(connection, chunk, start, end),
  onOpen: (connection) => inner.onOpen(connection),
  onClose: (connection) => inner.onClose(connection),
  onBatchEnd: () => inner.onBatchEnd(),
});

/** Every file that is derived from what was sent. */
export function filesOf(root: string): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (const folderName of ['commitlog', 'consumequeue', 'index']) {
    const all = fs.readdirSync(path.join(root, folderName), {
      recursive: true,
      withFileTypes: true,
    });
    for (const each of all.filter((entry) => entry.isFile())) {
      const file = path.join(each.parentPath, each.name);
      found.set(path.relative(root, file), fs.readFileSync(file));
    }
  }
  return found;
}
