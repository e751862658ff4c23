// All accounts and white addresses in force at one moment, and the judgement of one request. A table
// never changes: a reload makes a new one. Order as in Apache: global white addresses, access key,
// white address of the account, signature, trace topic, administrator, permissions.
// Invariant: a refusal says nothing a stranger does not know. An unknown access key and a wrong signature
// are refused alike (Apache tells them apart, and so which keys exist).
// Source: PlainPermissionManager.validate, behaviour only.
import { randomBytes } from 'node:crypto';
import { DrError } from '../../base/index.ts';
import { AclField, aclKey, hasAclSignature, type RemotingCommand } from '../../protocol/index.ts';
import type { AclAccount, AclFile } from './acl-file.ts';
import type { AddressRule } from './address-rule.ts';
import { Grant, needsAdmin, needsOf, printed, TRACE_TOPIC } from './permissions.ts';

/** Why a request is refused: what the client reads, and the reason for counters and logs. */
export interface AclRefusal {
  remark: string;
  reason: 'unsigned' | 'unknown-key' | 'signature' | 'admin' | 'permission' | 'unreadable';
}

export class AclTable {
  readonly files: readonly AclFile[];
  readonly warnings: readonly string[];
  readonly #accounts = new Map<string, AclAccount>();
  readonly #fileOfKey = new Map<string, string>();
  readonly #whites: readonly AddressRule[];

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

  /** The file that owns an access key. */
  fileOf(accessKey: string): string | undefined {
    return this.#fileOfKey.get(accessKey);
  }

  /** Judges one request. @returns undefined = let in */
  check(request: RemotingCommand, address: string): AclRefusal | undefined {
    for (const isWhite of this.#whites) if (isWhite(address)) return undefined;
    const accessKey = request.ext[AclField.ACCESS_KEY];
    if (accessKey === undefined || accessKey === '') {
      return { remark: 'No accessKey is configured', reason: 'unsigned' };
    }
    const account = this.#accounts.get(accessKey);
    if (account?.isWhite(address)) return undefined;
    // Why a key of nobody: an unknown access key takes as long as a wrong signature.
    if (!hasAclSignature((account ?? STRANGER).key, request) || account === undefined) {
      const remark = `Check signature failed for accessKey=${shown(accessKey)}`;
      return { remark, reason: account === undefined ? 'unknown-key' : 'signature' };
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
    if (mayUse(account, resource, bits)) continue;
    return { remark: `No default permission for ${printed(resource)}`, reason: 'permission' };
  }
  return undefined;
}

function mayUse(account: AclAccount, resource: string, bits: number): boolean {
  const isGroup = printed(resource).startsWith('group:');
  const owned =
    account.grants?.get(resource) ?? (isGroup ? account.groupGrant : account.topicGrant);
  return (owned & Grant.DENY) === 0 && (owned & bits) === bits;
}

/** An access key as a remark may repeat it: what came over the wire is not echoed at any length. */
const shown = (accessKey: string): string => accessKey.slice(0, 64);

/** Nobody's key; whatever it signs is refused. */
const STRANGER = { key: aclKey(randomBytes(20).toString('hex')) };
