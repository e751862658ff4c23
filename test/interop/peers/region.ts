// A region as a test of programs needs it: one name server, one broker, ended together. Stock, or ours as a
// process of its own: a load of a test must not keep it from answering.
import * as path from 'node:path';
import type { BrokerConfigValues } from '../../../core-broker/broker/index.ts';
import { spawnBroker } from '../../support/broker-process.ts';
import { DrParts, freePort } from '../../support/dr-parts.ts';
import { type BrokerOptions, startBroker, startNameserver } from './rocketmq.ts';

export interface Region {
  namesrv: string;
  broker: string;
  close(): Promise<void>;
}

/** A stock 5.5.0 region in the folders `ns` and `broker` below `folder`. */
export async function stockRegion(
  folder: string,
  properties: BrokerOptions['properties'] = {},
): Promise<Region> {
  const version = '5.5.0' as const;
  const port = await freePort();
  const names = await startNameserver({ version, folder: path.join(folder, 'ns'), port });
  const broker = await startBroker({
    version,
    folder: path.join(folder, 'broker'),
    port: await freePort(true),
    namesrv: names.address,
    properties,
  });
  const close = async () => {
    await broker.kill();
    await names.kill();
  };
  return { namesrv: names.address, broker: broker.address, close };
}

/** Our broker over the store `root`, behind our name server. */
export async function ourRegion(
  root: string,
  values: Partial<BrokerConfigValues> = {},
): Promise<Region> {
  const parts = new DrParts();
  const { address: namesrv } = await parts.nameserver();
  const broker = await spawnBroker(root, { ...values, namesrvAddr: namesrv });
  const close = async () => {
    await broker.kill();
    await parts.close();
  };
  return { namesrv, broker: broker.address, close };
}
