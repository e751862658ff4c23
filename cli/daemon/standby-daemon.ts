// `dr standby`: everything one region needs in one process: region node, HTTP endpoint, backup jobs.
// Symmetric: the same daemon runs on both sides; the store's drEpoch file says which role it plays.
import { DrError } from '../../core-broker/base/index.ts';
import type { DrConfig } from '../config/dr-config.ts';
import { BackupService } from './backup-jobs.ts';
import { HttpEndpoint } from './http.ts';
import { createRegionNode } from './region-node.ts';
import { die, type ServerProcess } from './run-until-signal.ts';

/** Builds the daemon; nothing runs before start(). @throws DrError CONFIG */
export function createStandbyDaemon(config: DrConfig): ServerProcess {
  if (!config.broker) {
    throw new DrError('CONFIG', `${config.path}: broker.config is needed by dr standby`);
  }
  const node = createRegionNode({
    brokerFile: config.resolve(config.broker.config),
    ...(config.nameserver ? { nameserverFile: config.resolve(config.nameserver.config) } : {}),
    dr: config,
  });
  const backups = config.backup?.schedule
    ? new BackupService(config, (reason) => die(reason, 'backup jobs'))
    : undefined;
  const http = new HttpEndpoint({
    ...config.http,
    health: () => {
      const reasons = [...node.health().reasons, ...(backups?.problems() ?? [])];
      return { ready: reasons.length === 0, reasons };
    },
    status: () => ({ ...node.broker.status(), health: node.health() }),
  });
  return {
    // Order: HTTP first, so that a region that boots closed can be seen; jobs last.
    start: async () => {
      await http.start();
      await node.start();
      await backups?.start();
    },
    stop: async () => {
      await backups?.stop();
      await node.stop();
      await http.stop();
    },
    facts: () => ({ ...node.facts(), http: `${config.http.host}:${config.http.port}` }),
  };
}
