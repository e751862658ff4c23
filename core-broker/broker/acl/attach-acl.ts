// Puts ACL in front of a broker: the files, the guard at the door and the handlers of codes 50-54.
// Order: the files are read before anything listens; a broker with aclEnable and no readable file does
// not start.
import * as path from 'node:path';
import { type Clock, DrError } from '../../base/index.ts';
import type { BrokerConfig } from '../config/index.ts';
import { AclBook } from './acl-book.ts';

/** The files of a broker's ACL, read once; undefined when aclEnable is false. @throws DrError CONFIG */
export function openAclBook(config: BrokerConfig, clock: Clock): AclBook | undefined {
  if (!config.aclEnable) return undefined;
  const book = new AclBook({ defaultFile: defaultFileOf(config), clock });
  book.load();
  return book;
}

function defaultFileOf(config: BrokerConfig): string {
  const folder = config.path === undefined ? undefined : path.dirname(path.resolve(config.path));
  if (config.aclPlainFile !== '') return path.resolve(folder ?? '.', config.aclPlainFile);
  if (folder !== undefined) return path.join(folder, 'plain_acl.yml');
  throw new DrError('CONFIG', 'aclEnable: aclPlainFile must say which file to read');
}
