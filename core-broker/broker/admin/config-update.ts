// The configuration as tools see and change it (25, 26). A change is checked as a whole, written into the
// operator's file in place (comments, order and other keys stay) and then applied: live keys at once, the
// others at the next start. Order: file before memory, so that nothing is in force that a restart undoes.
// Unlike Apache the file keeps only what somebody wrote there, and a value that does not parse is refused.
// Source: AdminBrokerProcessor.updateBrokerConfig, Configuration of RocketMQ, behaviour only.
import * as fs from 'node:fs';
import {
  createLog,
  DrError,
  editProperties,
  parseProperties,
  readTextIfExists,
  writeAtomicSync,
} from '../../base/index.ts';
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
import type { HandlerContext } from '../handler-context.ts';
import { OK, refuse } from '../response-codes.ts';

const log = createLog('broker');

/** Keys code 25 never changes. */
const FIXED_KEYS = ['configBlackList', 'brokerConfigPath', 'rocketmqHome'];
/** Which files this process reads or trusts is not chosen over the wire. */
const LOCAL_KEYS = /^(tls\.|aclPlainFile$|drCredentialsFile$|useTLS$)/;

export function addConfigHandlers(context: HandlerContext): void {
  const { requests, config, clock } = context.parts;
  const version = newDataVersion(clock.nowMs());
  requests.on(RequestCode.UPDATE_BROKER_CONFIG, (request) => update(context, request, version));
  requests.on(RequestCode.GET_BROKER_CONFIG, () => ({
    code: ResponseCode.SUCCESS,
    ext: { version: JSON.stringify(version) },
    body: configText(config),
  }));
}

/** Every key but secrets, sorted: honoured ones as they are in force, the others as Apache has them. */
function configText(config: BrokerConfig): string {
  const rows = new Map([...UNSUPPORTED_KEYS].filter(([, value]) => value !== ''));
  for (const [key, value] of config.echoed) rows.set(key, value);
  for (const key of Object.keys(BROKER_KEYS).filter(isBrokerKey))
    rows.set(key, String(config[key]));
  for (const key of TLS_SECRET_KEYS) rows.delete(key);
  return [...rows]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([key, value]) => `${key}=${value}\n`)
    .join('');
}

function update(
  context: HandlerContext,
  request: RemotingCommand,
  version: DataVersion,
): ResponseInit {
  const { config, clock } = context.parts;
  const changes = wantedChanges(config, request.body?.toString('utf8') ?? '');
  const parsed = [...changes].map(([key, value]) => ({ key, value: parsedValue(key, value) }));
  if (config.path !== undefined && changes.size > 0) saveTo(config.path, changes);
  for (const { key, value } of parsed) {
    if (!isBrokerKey(key)) config.echoed.set(key, String(value));
    else if (BROKER_KEYS[key].live === true) Object.assign(config, { [key]: value });
  }
  bumpDataVersion(version, clock.nowMs());
  const keys = new Set(changes.keys());
  for (const listener of context.configListeners) listener(keys);
  const live = parsed.filter(({ key }) => isBrokerKey(key) && BROKER_KEYS[key].live === true);
  log.info('config.updated', 'the configuration was changed by an operator', {
    keys: [...keys],
    live: live.map(({ key }) => key),
  });
  return OK;
}

/** Keys nobody knows are left out in silence, as Apache does; forbidden ones refuse the whole change. */
function wantedChanges(config: BrokerConfig, text: string): Map<string, string> {
  const entries = parseProperties(text);
  const blocked = new Set([...FIXED_KEYS, ...config.configBlackList.split(';')]);
  for (const key of entries.keys()) {
    if (!blocked.has(key) && !LOCAL_KEYS.test(key)) continue;
    refuse(ResponseCode.NO_PERMISSION, 'Can not update config in black list.');
  }
  const known = [...entries].filter(([key]) => isBrokerKey(key) || UNSUPPORTED_KEYS.has(key));
  return new Map(known.map(([key, { value }]) => [key, value]));
}

function parsedValue(key: string, value: string): string | number | boolean {
  if (!isBrokerKey(key)) return value;
  try {
    return parseKey(key, value, { path: 'UPDATE_BROKER_CONFIG' });
  } catch (reason) {
    if (!DrError.is(reason, 'CONFIG')) throw reason;
    return refuse(ResponseCode.INVALID_PARAMETER, reason.message);
  }
}

function saveTo(path: string, changes: Map<string, string>): void {
  // .properties files are latin1; other letters are written as escapes.
  const text = readTextIfExists(path, 'latin1') ?? '';
  const mode = fs.statSync(path, { throwIfNoEntry: false })?.mode ?? 0o600;
  const edited = Buffer.from(editProperties(text, changes), 'latin1');
  writeAtomicSync(path, edited, { mode: mode & 0o777 });
}
