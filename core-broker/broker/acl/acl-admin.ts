// Accounts and white addresses changed over the wire (50, 51, 53) and shown (52 versions, 54 all).
// A change edits the text of the owning file, keeps its comments and order, counts dataVersion up, is
// checked as a whole, written atomically and then in force. Only administrators come here, except for 52.
// Secrets: 54 shows them, as Apache does, because the tools that edit an account send its secret back;
// no refusal names one. Source: AdminBrokerProcessor and PlainPermissionManager, behaviour only.
import { type Document, isMap, isSeq } from 'yaml';
import { DrError, readTextIfExists } from '../../base/index.ts';
import {
  type RemotingCommand,
  RequestCode,
  ResponseCode,
  type ResponseInit,
} from '../../protocol/index.ts';
import type { RequestTable } from '../parts.ts';
import type { AclBook } from './acl-book.ts';
import { type AclVersion, aclDocument, KEY_CHARS_MIN } from './acl-file.ts';

/** Response codes of Apache 4.9; 209-211 mean something else since 5.0. */
const UPDATE_FAILED = 209;
const DELETE_FAILED = 210;
const WHITES_FAILED = 211;

export interface AclAdminParts {
  /** Undefined when aclEnable is false. */
  book: AclBook | undefined;
  requests: RequestTable;
  broker: () => { address: string; name: string; cluster: string };
  nowMs: () => number;
}

type Work = (book: AclBook, request: RemotingCommand) => ResponseInit;

export function addAclHandlers(parts: AclAdminParts): void {
  const on = (code: number, failure: number, work: Work) => {
    parts.requests.on(code, (request) => answer(parts.book, { request, failure, work }));
  };
  const now = parts.nowMs;
  on(RequestCode.UPDATE_AND_CREATE_ACL_CONFIG, UPDATE_FAILED, (book, request) =>
    update(book, request, now()),
  );
  on(RequestCode.DELETE_ACL_CONFIG, DELETE_FAILED, (book, request) => remove(book, request, now()));
  on(RequestCode.UPDATE_GLOBAL_WHITE_ADDRS_CONFIG, WHITES_FAILED, (book, request) =>
    updateWhites(book, request, now()),
  );
  on(RequestCode.GET_BROKER_CLUSTER_ACL_INFO, ResponseCode.SYSTEM_ERROR, (book) =>
    versions(book, parts.broker()),
  );
  on(RequestCode.GET_BROKER_CLUSTER_ACL_CONFIG, ResponseCode.SYSTEM_ERROR, (book) => listAll(book));
}

function answer(
  book: AclBook | undefined,
  { request, failure, work }: { request: RemotingCommand; failure: number; work: Work },
): ResponseInit {
  if (book === undefined) return { code: failure, remark: 'ACL is off: aclEnable is false' };
  try {
    return work(book, request);
  } catch (reason) {
    const error = DrError.from(reason);
    if (error.code === 'UNEXPECTED') throw error;
    return { code: failure, remark: error.message };
  }
}

const SUCCESS: ResponseInit = { code: ResponseCode.SUCCESS };

function update(book: AclBook, { ext }: RemotingCommand, nowMs: number): ResponseInit {
  const accessKey = ext['accessKey'] ?? '';
  const secret = ext['secretKey'] ?? '';
  if (accessKey.length < KEY_CHARS_MIN || secret.length < KEY_CHARS_MIN) {
    const rule = 'cannot be null and length should longer than 6';
    throw new DrError('USAGE', `The accessKey=${accessKey} and its secretKey ${rule}`);
  }
  const file = book.table.fileOf(accessKey) ?? book.defaultFile;
  const document = open(file);
  const old = accountAt(document, accessKey);
  const fields = {
    accessKey,
    secretKey: secret,
    whiteRemoteAddress: ext['whiteRemoteAddress'],
    admin: ext['admin'] === 'true',
    defaultTopicPerm: ext['defaultTopicPerm'] || undefined,
    defaultGroupPerm: ext['defaultGroupPerm'] || undefined,
    topicPerms: listOf(ext['topicPerms']),
    groupPerms: listOf(ext['groupPerms']),
  };
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  if (old >= 0) {
    for (const [key, value] of given) document.setIn(['accounts', old, key], value);
  } else {
    const account = document.createNode(Object.fromEntries(given));
    if (isSeq(document.get('accounts'))) document.addIn(['accounts'], account);
    else document.set('accounts', document.createNode([account]));
  }
  save(book, { file, document, nowMs });
  return SUCCESS;
}

function remove(book: AclBook, { ext }: RemotingCommand, nowMs: number): ResponseInit {
  const accessKey = ext['accessKey'] ?? '';
  const file = book.table.fileOf(accessKey);
  const document = file === undefined ? undefined : open(file);
  const at = document === undefined ? -1 : accountAt(document, accessKey);
  if (file === undefined || document === undefined || at < 0) {
    const what = `The accesskey[${accessKey}] corresponding to accessConfig`;
    return { code: DELETE_FAILED, remark: `${what} has been deleted failed.` };
  }
  document.deleteIn(['accounts', at]);
  save(book, { file, document, nowMs });
  return SUCCESS;
}

function updateWhites(book: AclBook, { ext }: RemotingCommand, nowMs: number): ResponseInit {
  const text = ext['globalWhiteAddrs'];
  const file = ext['aclFileFullPath'] || book.defaultFile;
  // Only a file in force: a path over the wire must not choose what this process writes.
  const isOurs = file === book.defaultFile || book.table.files.some(({ path }) => path === file);
  if (text === undefined || !isOurs) {
    const remark = `The globalWhiteAddresses[${text ?? ''}] has been updated failed.`;
    return { code: WHITES_FAILED, remark };
  }
  const document = open(file);
  document.set('globalWhiteRemoteAddresses', document.createNode(listOf(text) ?? []));
  save(book, { file, document, nowMs });
  return SUCCESS;
}

function versions(
  book: AclBook,
  { address, name, cluster }: { address: string; name: string; cluster: string },
): ResponseInit {
  const all = book.table.files.map(({ path, version }) => [path, shownVersion(version)]);
  const own = book.table.files.find(({ path }) => path === book.defaultFile)?.version;
  const version = JSON.stringify(shownVersion(own ?? { counter: 0, timestamp: 0 }));
  const allAclFileVersion = JSON.stringify(Object.fromEntries(all));
  return {
    code: ResponseCode.SUCCESS,
    ext: {
      version,
      allAclFileVersion,
      brokerAddr: address,
      brokerName: name,
      clusterName: cluster,
    },
  };
}

const shownVersion = ({ counter, timestamp }: AclVersion) => ({ counter, timestamp });

function listAll(book: AclBook): ResponseInit {
  const globalWhiteAddrs: unknown[] = [];
  const plainAccessConfigs: Record<string, unknown>[] = [];
  for (const { path } of book.table.files) {
    const data = (open(path).toJS() ?? {}) as Record<string, unknown>;
    globalWhiteAddrs.push(...listIn(data, 'globalWhiteRemoteAddresses').map(String));
    for (const row of listIn(data, 'accounts') as Record<string, unknown>[]) {
      const isShown = plainAccessConfigs.some(
        (other) => other['accessKey'] === String(row['accessKey']),
      );
      if (!isShown) plainAccessConfigs.push(shownAccount(row));
    }
  }
  const body = JSON.stringify({ globalWhiteAddrs, plainAccessConfigs });
  return { code: ResponseCode.SUCCESS, body };
}

function shownAccount(row: Record<string, unknown>): Record<string, unknown> {
  const texts = ['accessKey', 'defaultGroupPerm', 'defaultTopicPerm', 'secretKey'];
  const shown: Record<string, unknown> = { admin: String(row['admin']) === 'true' };
  for (const key of [...texts, 'whiteRemoteAddress']) {
    if (row[key] !== undefined && row[key] !== null) shown[key] = String(row[key]);
  }
  for (const key of ['groupPerms', 'topicPerms']) {
    if (Array.isArray(row[key])) shown[key] = row[key].map(String);
  }
  return shown;
}

const listIn = (data: Record<string, unknown>, key: string): unknown[] =>
  Array.isArray(data[key]) ? data[key] : [];

const listOf = (text: string | undefined): string[] | undefined =>
  text === undefined
    ? undefined
    : text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');

function open(file: string): Document {
  const { document } = aclDocument(file, readTextIfExists(file) ?? '');
  if (!isMap(document.contents)) document.contents = document.createNode({}) as never;
  return document;
}

function accountAt(document: Document, accessKey: string): number {
  const accounts: unknown = document.get('accounts');
  if (!isSeq(accounts)) return -1;
  return accounts.items.findIndex(
    (item) => isMap(item) && String(item.get('accessKey')) === accessKey,
  );
}

function save(
  book: AclBook,
  { file, document, nowMs }: { file: string; document: Document; nowMs: number },
): void {
  const counter = Number(document.getIn(['dataVersion', 0, 'counter']) ?? 0) || 0;
  const version = [{ counter: counter + 1, timestamp: nowMs }];
  document.set('dataVersion', document.createNode(version));
  book.replace(file, document.toString());
}
