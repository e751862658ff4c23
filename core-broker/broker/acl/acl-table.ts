// All accounts and white addresses in force at one moment, and the judgement of one request. A table
// never changes: a reload makes a new one. Order as in Apache: global white addresses, access key,
// white address of the account, signature, trace topic, administrator, permissions.
// Invariant: a refusal says nothing a stranger does not know. An unknown access key and a wrong signature
// are refused alike (Apache tells them apart, and so which keys exist).
// Source: PlainPermissionManager.validate, behaviour only.
import { randomBytes } from 'node:crypto';
import { DrError } from '../../base/index.ts';
import {
  AclField,
  aclKey,
  hasAclSignature,
  isAclSignatureOf,
  type RemotingCommand,
  type SendRequestView,
  type SignedSend,
} from '../../protocol/index.ts';
import { accountsDigest } from './accounts-digest.ts';
import type { AclAccount, AclFile } from './acl-file.ts';
import type { AddressRule } from './address-rule.ts';
import {
  Grant,
  isGroupResource,
  needsAdmin,
  needsOf,
  printed,
  sendGrantOf,
  TRACE_TOPIC,
} from './permissions.ts';

/** Why a request is refused: what the client reads, and the reason for counters and logs. */
export interface AclRefusal {
  remark: string;
  reason: 'unsigned' | 'unknown-key' | 'signature' | 'admin' | 'permission' | 'unreadable';
}

/** A scanned send and the bytes it was scanned from. */
export interface SentBytes {
  chunk: Buffer;
  view: SendRequestView;
}

export class AclTable {
  readonly files: readonly AclFile[];
  readonly warnings: readonly string[];
  readonly #accounts = new Map<string, AclAccount>();
  readonly #fileOfKey = new Map<string, string>();
  readonly #whites: readonly AddressRule[];
  #digest: string | undefined;

  /** @param files in order; the first file that names an access key owns it */
  constructor(files: readonly AclFile[]) {
    const warnings = files.flatMap((file) => file.warnings);
    this.files = files;
    this.#whites = files.flatMap((file) => file.whites);
    for (const { path, accounts } of files) {
      for (const account of accounts) {
        const { accessKey } = account;
        if (this.#accounts.has(accessKey)) {
          warnings.push(
            `${path}: the access key ${accessKey} is given twice; the first one counts`,
          );
          continue;
        }
        this.#accounts.set(accessKey, account);
        this.#fileOfKey.set(accessKey, path);
      }
    }
    this.warnings = warnings;
  }

  get size(): number {
    return this.#accounts.size;
  }

  /** The same in two regions that let the same programs in. */
  get digest(): string {
    this.#digest ??= accountsDigest(this.#accounts.values());
    return this.#digest;
  }

  /** The file that owns an access key. */
  fileOf(accessKey: string): string | undefined {
    return this.#fileOfKey.get(accessKey);
  }

  /** True when this address needs no signature at all. */
  isWhite(address: string): boolean {
    const { length } = this.#whites;
    for (let i = 0; i < length; i++) if (this.#whites[i]?.(address)) return true;
    return false;
  }

  /** Judges one signed send by its bytes: the same answers as check() of the decoded request. */
  checkSend(signed: SignedSend, sent: SentBytes, address: string): AclRefusal | undefined {
    const { chunk, view } = sent;
    const { accessKeyStart, signatureStart: start, signatureLength: length } = signed;
    const keyEnd = accessKeyStart + signed.accessKeyLength;
    const accessKey = chunk.toString('utf8', accessKeyStart, keyEnd);
    const account = this.#accounts.get(accessKey);
    if (account?.isWhite(address)) return undefined;
    const content = signed.content.subarray(0, signed.length);
    const text = { bytes: chunk, start, length };
    const isSigned = isAclSignatureOf((account ?? STRANGER).key, content, text);
    if (!isSigned || account === undefined) return badSignature(accessKey, account);
    const topic = chunk.toString('utf8', view.topicStart, view.topicStart + view.topicLength);
    const bits = sendGrantOf(topic);
    if (topic === TRACE_TOPIC || (account.isAdmin && account.grants === undefined))
      return undefined;
    return mayUse(account, topic, bits) ? undefined : noPermission(topic);
  }

  /** Judges one request. @returns undefined = let in */
  check(request: RemotingCommand, address: string): AclRefusal | undefined {
    if (this.isWhite(address)) return undefined;
    const accessKey = request.ext[AclField.ACCESS_KEY];
    if (accessKey === undefined || accessKey === '') {
      return { remark: 'No accessKey is configured', reason: 'unsigned' };
    }
    const account = this.#accounts.get(accessKey);
    if (account?.isWhite(address)) return undefined;
    // Why a key of nobody: an unknown access key takes as long as a wrong signature.
    if (!hasAclSignature((account ?? STRANGER).key, request) || account === undefined) {
      return badSignature(accessKey, account);
    }
    return judge(request, account);
  }
}

/** What an account may do; its signature is right. */
function judge(request: RemotingCommand, account: AclAccount): AclRefusal | undefined {
  const { code } = request;
  let needs: ReturnType<typeof needsOf>;
  try {
    needs = needsOf(request);
  } catch (cause) {
    if (!DrError.is(cause, 'PROTOCOL')) throw cause;
    return { remark: 'the body of the request cannot be read', reason: 'unreadable' };
  }
  if (needs?.get(TRACE_TOPIC) === Grant.PUB) return undefined;
  if (needsAdmin(code) && !account.isAdmin) {
    const who = `but accessKey=${account.accessKey} is not`;
    return { remark: `Need admin permission for request code=${code}, ${who}`, reason: 'admin' };
  }
  if (needs === undefined || (account.isAdmin && account.grants === undefined)) return undefined;
  for (const [resource, bits] of needs) {
    if (!mayUse(account, resource, bits)) return noPermission(resource);
  }
  return undefined;
}

const noPermission = (resource: string): AclRefusal => ({
  remark: `No default permission for ${printed(resource)}`,
  reason: 'permission',
});

const badSignature = (accessKey: string, account: AclAccount | undefined): AclRefusal => ({
  remark: `Check signature failed for accessKey=${shown(accessKey)}`,
  reason: account === undefined ? 'unknown-key' : 'signature',
});

function mayUse(account: AclAccount, resource: string, bits: number): boolean {
  const isGroup = isGroupResource(resource);
  const owned =
    account.grants?.get(resource) ?? (isGroup ? account.groupGrant : account.topicGrant);
  return (owned & Grant.DENY) === 0 && (owned & bits) === bits;
}

/** An access key as a remark may repeat it: what came over the wire is not echoed at any length. */
const shown = (accessKey: string): string => accessKey.slice(0, 64);

/** Nobody's key; whatever it signs is refused. */
const STRANGER = { key: aclKey(randomBytes(20).toString('hex')) };
