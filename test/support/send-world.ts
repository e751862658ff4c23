// The send path of a broker in this process: a real store, the real dispatcher and connections without a
// socket. One world may take runs of sends, another handles every frame by itself; the rest is the same.
import * as path from 'node:path';
import { systemClock } from '../../core-broker/base/index.ts';
import { type Admission, OPEN_ADMISSION } from '../../core-broker/broker/admission.ts';
import { type BuiltBroker, buildParts } from '../../core-broker/broker/build-parts.ts';
import { BrokerDispatcher } from '../../core-broker/broker/dispatcher.ts';
import { brokerConfig } from '../../core-broker/broker/index.ts';
import { storeOptions } from '../../core-broker/broker/store-options.ts';
import { encodeHost } from '../../core-broker/protocol/index.ts';
import type { FrameListener } from '../../core-broker/remoting/index.ts';
import { openStore, type StoreOptions } from '../../core-broker/store/index.ts';
import { FileMessageStore } from '../../core-broker/store/message-store.ts';
import type { StoreParts } from '../../core-broker/store/store-parts.ts';
import { type Line, openLine } from './send-line.ts';

export interface SendWorld {
  readonly root: string;
  readonly store: FileMessageStore;
  readonly parts: StoreParts;
  readonly built: BuiltBroker;
  readonly dispatcher: BrokerDispatcher;
  readonly admission: { current: Admission };
  /** Frames that were taken in runs. */
  readonly inRuns: { frames: number };
  connect(): Line;
  /** Everything appended so far is answered and dispatched. */
  settle(): Promise<void>;
  close(): Promise<void>;
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
  const admission = { current: OPEN_ADMISSION };
  const storeHost = encodeHost('127.0.0.1', 10911);
  const options = { ...storeOptions({ config }, storeHost), ...changed };
  const store = (await openStore(options)) as FileMessageStore;
  const parts = FileMessageStore.partsOf(store);
  const dispatcher = new BrokerDispatcher(admission);
  const built = buildParts({
    config,
    clock: systemClock,
    store,
    admission,
    dispatcher,
    storeHost,
    addresses: () => ({ broker: '127.0.0.1:10911', ha: '127.0.0.1:10912' }),
    accounts: () => undefined,
    fail: (reason) => {
      throw reason;
    },
  });
  built.release.start(store.storeBounds().maxOffset);
  dispatcher.open();
  const inRuns = { frames: 0 };
  const run = parts.kernel.run.bind(parts.kernel);
  parts.kernel.run = () => {
    const count = run();
    inRuns.frames += count;
    return count;
  };
  const listener = takesRuns ? dispatcher : oneByOne(dispatcher);
  const world: SendWorld = {
    root,
    store,
    parts,
    built,
    dispatcher,
    admission,
    inRuns,
    connect: () => openLine(listener),
    settle: async () => {
      await store.durable(store.storeBounds().maxOffset);
      await store.dispatched();
      await new Promise((resolve) => setImmediate(resolve));
    },
    close: async () => {
      built.release.stop();
      await store.close();
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
