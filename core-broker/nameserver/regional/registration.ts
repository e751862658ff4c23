// One REGISTER_BROKER request as the route table takes it: header fields and decoded body.
// Mandatory fields missing or numbers that are none: refused whole (PROTOCOL, answered with code 1).
// Source: RegisterBrokerRequestHeader of Apache.
import { DrError } from '../../base/index.ts';
import { decodeRegisterBody, type RemotingCommand } from '../../protocol/index.ts';
import { DEFAULT_TIMEOUT_MS, type Registration } from '../route/route-table.ts';

/** Mandatory header field. @throws DrError PROTOCOL, answered with code 1 */
export function field(request: RemotingCommand, name: string): string {
  const value = request.ext[name];
  if (value === undefined) throw new DrError('PROTOCOL', `the header field ${name} is missing`);
  return value;
}

/** @throws DrError PROTOCOL malformed, CORRUPT `crc32 not match` */
export function decodeRegistration(request: RemotingCommand): Registration {
  const { ext } = request;
  const brokerId = Number(field(request, 'brokerId'));
  if (!Number.isSafeInteger(brokerId) || brokerId < 0) {
    throw new DrError('PROTOCOL', `brokerId '${ext['brokerId']}' is not a number from 0 on`);
  }
  const timeoutMs = Number(ext['heartbeatTimeoutMillis'] ?? DEFAULT_TIMEOUT_MS);
  const actingMaster = ext['enableActingMaster'];
  const body = decodeRegisterBody(request.body, {
    compressed: ext['compressed'] === 'true',
    bodyCrc32: Number(ext['bodyCrc32'] ?? 0),
  });
  const { dataVersion, topicConfigTable } = body.topicConfigSerializeWrapper;
  return {
    clusterName: field(request, 'clusterName'),
    brokerName: field(request, 'brokerName'),
    brokerAddr: field(request, 'brokerAddr'),
    brokerId,
    haServerAddr: field(request, 'haServerAddr'),
    zoneName: ext['__ZONE_NAME'],
    enableActingMaster: actingMaster === undefined ? undefined : actingMaster === 'true',
    timeoutMs: timeoutMs > 0 ? timeoutMs : DEFAULT_TIMEOUT_MS,
    dataVersion,
    topics: new Map(Object.entries(topicConfigTable)),
    filterServers: body.filterServerList,
    queueMappings: new Map(Object.entries(body.topicQueueMappings)),
  };
}
