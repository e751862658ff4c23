// dr rejoin: a region that was deposed (a failover went past it) becomes the standby of the active one.
// It is the operator's word that nothing of the old disk is needed as it is: the link exports what the
// promoted history lacks beside the store before it cuts. Refused unless the region really is behind.
import { randomUUID } from 'node:crypto';
import { DrError } from '../../core-broker/base/index.ts';
import { createDrClient, type DrClient } from '../../core-broker/client/index.ts';
import { DR_CODE, type DrStatus } from '../../core-broker/protocol/index.ts';
import type { CommandInput } from '../command.ts';
import type { DrConfig } from '../config/dr-config.ts';
import { openDrConfig } from '../config/identity.ts';
import { confirm } from '../confirm.ts';
import { EXIT } from '../exit-status.ts';
import { formatOf, printAnswer } from '../output.ts';

const STATUS_TIMEOUT_MS = 2_000;
/** Becoming a standby flushes and dispatches what the store has. */
const REVERSE_TIMEOUT_MS = 30_000;

/** `dr rejoin`: exit 0 when the region follows, 4 when it does not need to, 13 when one side is silent. */
export async function runRejoin(input: CommandInput): Promise<number> {
  const config = openDrConfig(String(input.options['config']));
  const client = createDrClient({ secret: config.secret });
  try {
    const { own, active } = await findSides(config, client);
    if (own.status.role === 'standby' && own.status.epoch === active.status.epoch) {
      throw new DrError('REFUSED', `${config.region} is a standby already`);
    }
    await confirm(
      input,
      `Make ${config.region} follow ${active.region}? What only ${config.region} holds is exported first.`,
    );
    const status = await client.control<DrStatus>(
      own.address,
      {
        code: DR_CODE.REVERSE,
        body: {
          opId: `rejoin-${randomUUID()}`,
          source: active.address,
          sourceRegion: active.region,
          epoch: active.status.epoch,
        },
      },
      REVERSE_TIMEOUT_MS,
    );
    const format = formatOf(input);
    printAnswer(format, {
      json: status,
      text: `${status.region} is a ${status.role} at epoch ${status.epoch} and follows ${active.region}`,
    });
    return EXIT.DONE;
  } finally {
    client.close();
  }
}

interface Side {
  region: string;
  address: string;
  status: DrStatus;
}

/** @throws DrError UNREACHABLE when a side is silent, REFUSED when no other region is active above us */
async function findSides(config: DrConfig, client: DrClient): Promise<{ own: Side; active: Side }> {
  const sides = await Promise.all(
    Object.entries(config.regions).map(([region, { brokers }]) =>
      lookAt(client, region, Object.values(brokers)[0] ?? ''),
    ),
  );
  const own = sides.find(({ region }) => region === config.region);
  const active = sides.find(({ region }) => region !== config.region);
  if (!own || !active) throw new DrError('CONFIG', `${config.path}: two regions are needed`);
  const { role, writeState, epoch } = active.status;
  const isAbove = role === 'active' && writeState === 'open' && epoch > own.status.epoch;
  const isEqual = role === 'active' && epoch === own.status.epoch && own.status.role === 'standby';
  if (isAbove || isEqual) return { own, active };
  throw new DrError(
    'REFUSED',
    `${active.region} is ${role}, ${writeState}, at epoch ${epoch}; ${own.region} is at ` +
      `${own.status.epoch}: there is no newer active region to follow`,
  );
}

async function lookAt(client: DrClient, region: string, address: string): Promise<Side> {
  const request = { code: DR_CODE.STATUS, body: {} };
  try {
    const status = await client.control<DrStatus>(address, request, STATUS_TIMEOUT_MS);
    return { region, address, status };
  } catch (reason) {
    throw new DrError('UNREACHABLE', `${region} does not answer at ${address}`, { cause: reason });
  }
}
