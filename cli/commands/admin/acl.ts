// Admin actions about access keys in the form of RocketMQ 4.x to 5.3 (plain_acl.yml). Brokers without
// that form answer that they do not know the request; secrets are sent, never printed.
import { RequestCode } from '../../../core-broker/protocol/index.ts';
import type { AdminAction } from './call.ts';
import { eachBroker } from './each.ts';

export const clusterAclConfigVersion: AdminAction = async (call) => {
  const { results, problems } = await eachBroker(call, (address) =>
    call.wire.call(address, RequestCode.GET_BROKER_CLUSTER_ACL_INFO),
  );
  const json = results.map(({ address, value }) => ({ address, ...value.ext }));
  const rows = results.map(({ address, value }) => [
    address,
    value.ext['brokerName'] ?? '',
    value.ext['version'] ?? value.ext['allAclFileVersion'] ?? '',
  ]);
  return { json, head: ['Broker', 'Name', 'Version'], rows, problems };
};

const done =
  (code: number, options: Record<string, string>, said: string): AdminAction =>
  async (call) => {
    const ext = Object.fromEntries(
      Object.entries(options).map(([option, field]) => [field, call.text(option)]),
    );
    const { results, problems } = await eachBroker(call, (address) =>
      call.wire.call(address, code, ext),
    );
    const lines = results.map((row) => `${row.address}: ${said}`);
    return {
      json: results.map((row) => ({ address: row.address, done: true })),
      text: lines.join('\n'),
      problems,
    };
  };

export const updateAclConfig = done(
  RequestCode.UPDATE_AND_CREATE_ACL_CONFIG,
  {
    accessKey: 'accessKey',
    secretKey: 'secretKey',
    whiteRemoteAddress: 'whiteRemoteAddress',
    defaultTopicPerm: 'defaultTopicPerm',
    defaultGroupPerm: 'defaultGroupPerm',
    topicPerms: 'topicPerms',
    groupPerms: 'groupPerms',
    admin: 'admin',
  },
  'access key written',
);
export const deleteAclConfig = done(
  RequestCode.DELETE_ACL_CONFIG,
  { accessKey: 'accessKey' },
  'access key removed',
);
export const updateGlobalWhiteAddr = done(
  RequestCode.UPDATE_GLOBAL_WHITE_ADDRS_CONFIG,
  { globalWhiteRemoteAddresses: 'globalWhiteAddrs' },
  'addresses without key written',
);
