// Admin actions that write what a cluster is to files, in the form mqadmin writes: metadata.json,
// configs.json, metrics.json under one folder. A file appears whole or not at all.
import * as path from 'node:path';
import { DrError, makeFolder, writeAtomicSync } from '../../../core-broker/base/index.ts';
import {
  groupTable,
  readSettings,
  runtimeInfo,
  systemTopics,
  topicTable,
} from '../../../core-broker/client/index.ts';
import { RequestCode } from '../../../core-broker/protocol/index.ts';
import type { AdminAction, AdminAnswer, AdminCall } from './call.ts';
import { eachBroker } from './each.ts';

function write(call: AdminCall, name: string, value: object): AdminAnswer {
  const folder = path.resolve(call.text('filePath') ?? './rocketmq-export');
  const file = path.join(folder, name);
  try {
    makeFolder(folder);
    writeAtomicSync(file, `${JSON.stringify(value, null, 2)}\n`);
  } catch (cause) {
    throw new DrError('USAGE', `${file}: cannot be written (${(cause as Error).message})`, {
      cause,
      hint: 'say another folder with -f',
    });
  }
  return { json: { file, ...value }, text: file };
}

export const exportMetadata: AdminAction = async (call) => {
  const isEverything = !call.flag('topic') && !call.flag('subscriptionGroup');
  const withSpecial = call.flag('specialTopic');
  const topics: Record<string, unknown> = {};
  const groups: Record<string, unknown> = {};
  const { problems } = await eachBroker(call, async (address) => {
    const system = await systemTopics(call.wire, address);
    if (isEverything || call.flag('topic')) {
      for (const [name, row] of Object.entries(await topicTable(call.wire, address))) {
        if (system.has(name) || (!withSpecial && /^%(RETRY|DLQ)%/.test(name))) continue;
        topics[name] ??= row;
      }
    }
    if (isEverything || call.flag('subscriptionGroup')) {
      for (const [name, row] of Object.entries(await groupTable(call.wire, address))) {
        groups[name] ??= row;
      }
    }
  });
  const answer = write(call, 'metadata.json', {
    exportTime: Date.now(),
    topicConfigTable: topics,
    subscriptionGroupTable: groups,
  });
  return { ...answer, problems };
};

export const exportConfigs: AdminAction = async (call) => {
  const brokerConfigs: Record<string, unknown> = {};
  const { results, problems } = await eachBroker(call, (address) =>
    readSettings(call.wire, address, RequestCode.GET_BROKER_CONFIG),
  );
  for (const row of results) brokerConfigs[row.brokerName || row.address] = row.value;
  const namesrvConfigs: Record<string, unknown> = {};
  for (const address of call.wire.nameservers) {
    const code = RequestCode.GET_NAMESRV_CONFIG;
    namesrvConfigs[address] = await readSettings(call.wire, address, code);
  }
  const answer = write(call, 'configs.json', {
    exportTime: Date.now(),
    clusterScale: { brokers: results.length, nameservers: call.wire.nameservers.length },
    brokerConfigs,
    namesrvConfigs,
  });
  return { ...answer, problems };
};

export const exportMetrics: AdminAction = async (call) => {
  const { results, problems } = await eachBroker(call, async (address) => ({
    runtime: await runtimeInfo(call.wire, address),
    topics: Object.keys(await topicTable(call.wire, address)).length,
    groups: Object.keys(await groupTable(call.wire, address)).length,
  }));
  const evaluateReport = Object.fromEntries(
    results.map((row) => [row.brokerName || row.address, row.value]),
  );
  const answer = write(call, 'metrics.json', { exportTime: Date.now(), evaluateReport });
  return { ...answer, problems };
};
