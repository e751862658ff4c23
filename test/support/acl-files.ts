// ACL files for tests, and clients with the keys of their accounts.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { Secret } from '../../core-broker/base/index.ts';
import { aclSigner, type RequestInit } from '../../core-broker/protocol/index.ts';

export const ADMIN = { accessKey: 'operator', secretKey: 'operator-secret' };
export const USER = { accessKey: 'program', secretKey: 'program-secret' };

export const ACL_TEXT = `# who may do what
accounts:
  - accessKey: ${ADMIN.accessKey}
    secretKey: ${ADMIN.secretKey}
    admin: true
  # the program of the tests
  - accessKey: ${USER.accessKey}
    secretKey: ${USER.secretKey}
    defaultTopicPerm: DENY
    defaultGroupPerm: SUB
    topicPerms:
      - orders=PUB|SUB
`;

export interface AclFolder {
  folder: string;
  /** The default file. */
  file: string;
  remove(): void;
}

export function aclFolder(text = ACL_TEXT): AclFolder {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-acl-'));
  const file = path.join(folder, 'plain_acl.yml');
  fs.writeFileSync(file, text);
  return { folder, file, remove: () => fs.rmSync(folder, { recursive: true, force: true }) };
}

/** Signs with the keys of an account. */
export const signedBy = (keys: {
  accessKey: string;
  secretKey: string;
}): ((init: RequestInit) => RequestInit) =>
  aclSigner({ accessKey: keys.accessKey, secretKey: new Secret(keys.secretKey) });
