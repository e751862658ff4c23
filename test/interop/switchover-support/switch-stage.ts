// Two regions behind a gateway as laid out by an operator, and beside that a second global name server
// that knows no gateway: its clients move by route alone. The link back to east runs over a bad WAN, so
// that a kill of west can really lose something.
import * as fs from 'node:fs';
import * as path from 'node:path';
import {
  DR_ENTRY,
  freePort,
  type RunningProcess,
  startProcess,
  waitFor,
} from '../../../cli/demo/process.ts';
import { hasLogged } from '../../../cli/demo/regions.ts';
import { AdminClient } from '../../../core-broker/client/index.ts';
import { PATIENT_MS, Stage } from '../../support/regions/stage.ts';
import { type WanProxy, wanProxy } from '../../support/wan-proxy.ts';
import { topicOf } from './pair.ts';

export interface SwitchStage {
  stage: Stage;
  /** Between west's HA port and east, once east is the standby. */
  wan: WanProxy;
  /** Name server whose routes name the regions themselves. */
  direct: string;
  /** Name server whose routes name the gateway. */
  behindGateway: string;
}

const QUEUES = 4;

/** Both regions up, east active, west level; topics of all pairs known on both sides. */
export async function openSwitchStage(pairs: string[]): Promise<SwitchStage> {
  const stage = await Stage.layOut('switchover-clients', { gateway: true });
  try {
    const [host, port] = stage.files('west').broker.split(':');
    const wan = await wanProxy(`${host}:${Number(port) + 1}`);
    stage.onClose(wan, (each) => each.stop());
    const direct = `127.0.0.1:${await freePort()}`;
    editFlips(stage, { direct, haAddress: wan.address });
    await startDirect(stage, direct);
    await stage.start();
    await createTopics(stage, pairs.map(topicOf));
    return { stage, wan, direct, behindGateway: stage.regions.globalNameserver };
  } catch (reason) {
    await stage.close();
    throw reason;
  }
}

function editFlips(stage: Stage, at: { direct: string; haAddress: string }): void {
  for (const region of ['east', 'west'] as const) {
    stage.editYaml(region, (yaml) => {
      yaml.flips.globalNameservers.push(at.direct);
      if (region === 'east') yaml['link'] = { haAddress: at.haAddress };
    });
  }
}

/** The same file as the other global name server has, without the gateway. */
async function startDirect(stage: Stage, address: string): Promise<RunningProcess> {
  const file = path.join(stage.folder, 'global', 'namesrv.properties');
  const changes: Record<string, string> = {
    listenPort: address.split(':')[1] ?? '',
    drStatePath: path.join(stage.folder, 'global', 'direct.json'),
  };
  const lines = fs
    .readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => !line.startsWith('drGateways='))
    .map((line) => {
      const [key = ''] = line.split('=');
      return key in changes ? `${key}=${changes[key]}` : line;
    });
  const copy = path.join(stage.folder, 'global', 'direct.properties');
  fs.writeFileSync(copy, lines.join('\n'));
  const logFile = path.join(stage.folder, 'logs', 'direct.log');
  const args = [DR_ENTRY, 'nameserver', '-c', copy];
  const running = startProcess({ name: 'direct', args, logFile });
  stage.onClose(running, (each) => each.stop('SIGKILL'));
  await waitFor('the direct name server', () => hasLogged(running, 'server.ready'), {
    watch: [running],
  });
  return running;
}

async function createTopics(stage: Stage, topics: string[]): Promise<void> {
  const admin = new AdminClient({ nameservers: [stage.files('east').nameserver] });
  try {
    for (const topic of topics) {
      await admin.createTopic(stage.files('east').broker, { topic, queues: QUEUES });
    }
    // A topic that the standby does not know yet would be unknown after a sudden switch.
    await waitFor(
      'the topics to reach the standby',
      async () => {
        const table = await admin.topicTable(stage.files('west').broker);
        return topics.every((topic) => topic in table.topicConfigTable);
      },
      { timeoutMs: PATIENT_MS },
    );
  } finally {
    admin.close();
  }
}
