// A broker's send path in this process, wired as the broker wires it but for sockets: a real store, the real
// dispatcher. The property test of runs and the micro benchmark of sends drive the same parts.
import { systemClock } from '../../core-broker/base/index.ts';
import { type Admission, OPEN_ADMISSION } from '../../core-broker/broker/admission.ts';
import { type BuiltBroker, buildParts } from '../../core-broker/broker/build-parts.ts';
import { BrokerDispatcher } from '../../core-broker/broker/dispatcher.ts';
import type { BrokerConfig } from '../../core-broker/broker/index.ts';
import { storeOptions } from '../../core-broker/broker/store-options.ts';
import { encodeHost } from '../../core-broker/protocol/index.ts';
import { openStore, type StoreOptions } from '../../core-broker/store/index.ts';
import type { FileMessageStore } from '../../core-broker/store/message-store.ts';

export interface SendParts {
  readonly store: FileMessageStore;
  readonly built: BuiltBroker;
  readonly dispatcher: BrokerDispatcher;
  readonly admission: { current: Admission };
  close(): Promise<void>;
}

/** Open for frames. */
export async function openSendParts(
  config: BrokerConfig,
  changed: Partial<StoreOptions> = {},
): Promise<SendParts> {
  const admission = { current: OPEN_ADMISSION };
  const storeHost = encodeHost('127.0.0.1', 10911);
  const options = { ...storeOptions({ config }, storeHost), ...changed };
  const store = (await openStore(options)) as FileMessageStore;
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
  const close = async () => {
    built.release.stop();
    await store.close();
  };
  return { store, built, dispatcher, admission, close };
}
