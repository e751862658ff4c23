// The broker itself: its configuration (25, 26), its figures (28, 315) and small maintenance codes.
// Code 25 applies live keys at once, keeps the others for the next start and writes the file back.
// Source: AdminBrokerProcessor, Configuration of RocketMQ, behaviour only.
import * as fs from 'node:fs';
import { parseProperties, writeAtomicSync } from '../../base/index.ts';
import {
  bumpDataVersion,
  type DataVersion,
  newDataVersion,
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
} from '../../protocol/index.ts';
import { TLS_SECRET_KEYS } from '../../remoting/index.ts';
import {
  BROKER_KEYS,
  type BrokerConfig,
  isBrokerKey,
  parseKey,
  UNSUPPORTED_KEYS,
} from '../config/index.ts';
import { textField } from '../fields.ts';
import type { HandlerContext } from '../handler-context.ts';
import { OK, okJson, refuse } from '../response-codes.ts';
import { runtimeInfo } from './runtime-info.ts';

/** Keys code 25 never changes. */
const FIXED_KEYS = ['configBlackList', 'brokerConfigPath', 'rocketmqHome'];
/** Which files this process reads or trusts is not chosen over the wire. */
const LOCAL_KEYS = /^(tls\.|aclPlainFile$|drCredentialsFile$|useTLS$)/;

export function addBrokerHandlers(context: HandlerContext): void {
  const { requests, config, clock } = context.parts;
  const version = newDataVersion(clock.nowMs());
  requests.on(RequestCode.UPDATE_BROKER_CONFIG, (request) =>
    updateConfig(context, request, version),
  );
  requests.on(RequestCode.GET_BROKER_CONFIG, () => ({
    code: ResponseCode.SUCCESS,
    ext: { version: JSON.stringify(version) },
    body: configText(config, TLS_SECRET_KEYS),
  }));
  requests.on(RequestCode.GET_BROKER_RUNTIME_INFO, () => okJson({ table: runtimeInfo(context) }));
  requests.on(RequestCode.VIEW_BROKER_STATS_DATA, (request) => brokerStats(context, request));
}

/** The complete effective configuration, as Apache prints and persists it. */
function configText(config: BrokerConfig, hidden: readonly string[] = []): string {
  const shown = Object.keys(BROKER_KEYS).filter((key) => !hidden.includes(key));
  const names = shown.filter(isBrokerKey);
  const honoured = names.map((key): [string, string] => [key, String(config[key])]);
  return [...honoured, ...config.echoed]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}

function updateConfig(
  context: HandlerContext,
  request: RemotingCommand,
  version: DataVersion,
): ResponseInit {
  const { config, clock, tables } = context.parts;
  const entries = parseProperties(request.body?.toString('utf8') ?? '');
  const blocked = [...FIXED_KEYS, ...config.configBlackList.split(';')];
  for (const key of entries.keys()) {
    if (blocked.includes(key) || LOCAL_KEYS.test(key)) {
      refuse(ResponseCode.NO_PERMISSION, 'Can not update config in black list.');
    }
  }
  const at = { path: 'UPDATE_BROKER_CONFIG' };
  const parsed = [...entries].map(([key, { value }]) => ({
    key,
    value,
    compiled: isBrokerKey(key) ? parseKey(key, value, at) : undefined,
  }));
  const saved = { ...config, echoed: new Map(config.echoed) };
  for (const { key, value, compiled } of parsed) {
    if (!isBrokerKey(key)) {
      if (UNSUPPORTED_KEYS.has(key)) saved.echoed.set(key, value);
      continue;
    }
    Object.assign(saved, { [key]: compiled });
    if (BROKER_KEYS[key].live === true) Object.assign(config, { [key]: compiled });
  }
  config.echoed = saved.echoed;
  if (config.path !== undefined) {
    const mode = fs.statSync(config.path, { throwIfNoEntry: false })?.mode ?? 0o600;
    writeAtomicSync(config.path, configText(saved), { mode: mode & 0o777 });
  }
  bumpDataVersion(version, clock.nowMs());
  if (entries.has('brokerPermission')) tables.topics.bump();
  return OK;
}

function brokerStats(context: HandlerContext, request: RemotingCommand): ResponseInit {
  const name = textField(request, 'statsName');
  const key = textField(request, 'statsKey');
  const item = context.stats.find(name, key);
  if (!item) {
    return refuse(ResponseCode.SYSTEM_ERROR, `The stats <${name}> <${key}> not exist`);
  }
  return okJson({
    statsDay: item.figures('day'),
    statsHour: item.figures('hour'),
    statsMinute: item.figures('minute'),
  });
}
