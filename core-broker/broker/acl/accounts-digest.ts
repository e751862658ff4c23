// One text for all accounts in force, equal in two regions exactly when the same programs get in with the
// same permissions. Nothing of a secret can be read from it: each account is bound by an HMAC under its own
// key. White addresses are left out: networks differ from region to region. Source: ours.
import { createHash, createHmac } from 'node:crypto';
import type { AclAccount } from './acl-file.ts';

export function accountsDigest(accounts: Iterable<AclAccount>): string {
  const lines = [...accounts].map((account) => {
    const { accessKey, key, isAdmin, topicGrant, groupGrant } = account;
    const grants = [...(account.grants ?? [])].map(([name, bits]) => `${name}=${bits}`).sort();
    const text = JSON.stringify([accessKey, isAdmin, topicGrant, groupGrant, grants]);
    return createHmac('sha256', key).update(text).digest('hex');
  });
  return createHash('sha256').update(lines.sort().join('\n')).digest('hex');
}
