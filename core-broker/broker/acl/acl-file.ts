// One ACL file of Apache 4.9 (plain_acl.yml, conf/acl/*.yml) as checked values.
//   globalWhiteRemoteAddresses: [address rule]
//   accounts: [{accessKey, secretKey, whiteRemoteAddress, admin, defaultTopicPerm, defaultGroupPerm,
//               topicPerms: [topic=PERM], groupPerms: [group=PERM]}]
//   dataVersion: [{counter, timestamp}]
// Apache takes what it cannot read for DENY or fails half-way; here a file is good as a whole or refused
// as a whole, with file, line and column, and never with a value of a secret in the words.
// Source: PlainPermissionManager, behaviour only. Read as YAML 1.1, as SnakeYAML does.
import type { KeyObject } from 'node:crypto';
import { type Document, isMap, isNode, isSeq, LineCounter, parseDocument } from 'yaml';
import { configError, DrError } from '../../base/index.ts';
import { aclKey } from '../../protocol/index.ts';
import { type AddressRule, addressRule } from './address-rule.ts';
import { GRANT_WORDS, Grant, grantOf, retryTopicOf } from './permissions.ts';

/** What one access key may do. */
export interface AclAccount {
  accessKey: string;
  key: KeyObject;
  isWhite: AddressRule;
  isAdmin: boolean;
  topicGrant: number;
  groupGrant: number;
  /** Topic or `%RETRY%group` -> bits; undefined when the file names none. */
  grants: ReadonlyMap<string, number> | undefined;
}

export interface AclVersion {
  counter: number;
  timestamp: number;
}

export interface AclFile {
  path: string;
  whites: AddressRule[];
  accounts: AclAccount[];
  version: AclVersion;
  /** Keys that mean nothing, as `file:line: text`. */
  warnings: string[];
}

/** Apache asks for more than six characters. */
export const KEY_CHARS_MIN = 7;

const FILE_KEYS = ['globalWhiteRemoteAddresses', 'accounts', 'dataVersion'];
const ACCOUNT_KEYS = [
  'accessKey',
  'secretKey',
  'whiteRemoteAddress',
  'admin',
  'defaultTopicPerm',
  'defaultGroupPerm',
  'topicPerms',
  'groupPerms',
];

/** The document of a file, for reading and for writing it back with its comments. */
export function aclDocument(
  path: string,
  text: string,
): { document: Document; lines: LineCounter } {
  const lines = new LineCounter();
  const options = { lineCounter: lines, prettyErrors: false, version: '1.1' } as const;
  const document = parseDocument(text, options) as Document;
  const problem = document.errors[0];
  if (problem === undefined) return { document, lines };
  const { line, col } = lines.linePos(problem.pos[0]);
  // Why no message of the parser: it may quote the line, and the line may hold a secret.
  throw configError({ path, line, column: col }, `not YAML (${problem.code})`);
}

/** @throws DrError CONFIG with file:line:column of the first thing that cannot be meant */
export function readAclFile(path: string, text: string, changedMs: number): AclFile {
  const { document, lines } = aclDocument(path, text);
  return new Reader(path, document, lines).file(changedMs);
}

type Path = readonly (string | number)[];

class Reader {
  readonly #path: string;
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #warnings: string[] = [];

  constructor(path: string, document: Document, lines: LineCounter) {
    this.#path = path;
    this.#document = document;
    this.#lines = lines;
  }

  file(changedMs: number): AclFile {
    const { contents } = this.#document;
    if (contents !== null && !isMap(contents)) throw this.#bad([], 'keys are expected here');
    this.#warnUnknown([], FILE_KEYS);
    return {
      path: this.#path,
      whites: this.#each(['globalWhiteRemoteAddresses'], (at) => this.#rule(at)),
      accounts: this.#each(['accounts'], (at) => this.#account(at)),
      version: this.#version(changedMs),
      warnings: this.#warnings,
    };
  }

  #account(at: Path): AclAccount {
    if (!isMap(this.#document.getIn(at))) throw this.#bad(at, 'an account is a list of keys');
    this.#warnUnknown(at, ACCOUNT_KEYS);
    const accessKey = this.#long([...at, 'accessKey']);
    const secret = this.#long([...at, 'secretKey']);
    const grants = new Map<string, number>();
    for (const [name, bits] of this.#grants([...at, 'groupPerms'])) {
      grants.set(retryTopicOf(name), bits);
    }
    for (const [name, bits] of this.#grants([...at, 'topicPerms'])) grants.set(name, bits);
    return {
      accessKey,
      key: aclKey(secret),
      isWhite: this.#rule([...at, 'whiteRemoteAddress']),
      isAdmin: this.#flag([...at, 'admin']),
      topicGrant: this.#grant([...at, 'defaultTopicPerm']),
      groupGrant: this.#grant([...at, 'defaultGroupPerm']),
      grants: grants.size === 0 ? undefined : grants,
    };
  }

  #grants(at: Path): [string, number][] {
    return this.#each(at, (item) => {
      const [name = '', words = '', ...more] = (this.#text(item) ?? '').split('=');
      const bits = grantOf(words);
      if (more.length === 0 && name.trim() !== '' && bits !== undefined) return [name.trim(), bits];
      throw this.#bad(item, `${nameOf(at)}: name=${GRANT_WORDS} is expected`);
    });
  }

  #grant(at: Path): number {
    const text = this.#text(at);
    if (text === undefined || text === '') return Grant.DENY;
    const bits = grantOf(text);
    if (bits === undefined) throw this.#bad(at, `${nameOf(at)}: use ${GRANT_WORDS}`);
    return bits;
  }

  #rule(at: Path): AddressRule {
    try {
      return addressRule(this.#text(at));
    } catch (reason) {
      throw this.#bad(at, `${nameOf(at)}: ${DrError.from(reason).message}`);
    }
  }

  #flag(at: Path): boolean {
    const value = this.#document.getIn(at) ?? false;
    if (value === 'true' || value === 'false') return value === 'true';
    if (typeof value === 'boolean') return value;
    throw this.#bad(at, `${nameOf(at)}: use true or false`);
  }

  #long(at: Path): string {
    const text = this.#text(at) ?? '';
    if (text.length >= KEY_CHARS_MIN) return text;
    throw this.#bad(at, `${nameOf(at)}: at least ${KEY_CHARS_MIN} characters are needed`);
  }

  #version(changedMs: number): AclVersion {
    const number = (key: string): number | undefined => {
      const value = Number(this.#document.getIn(['dataVersion', 0, key]) ?? Number.NaN);
      return Number.isSafeInteger(value) ? value : undefined;
    };
    return { counter: number('counter') ?? 0, timestamp: number('timestamp') ?? changedMs };
  }

  #text(at: Path): string | undefined {
    const value: unknown = this.#document.getIn(at);
    if (value === undefined || value === null) return undefined;
    if (typeof value === 'object') throw this.#bad(at, `${nameOf(at)}: one value is expected`);
    return String(value);
  }

  #each<T>(at: Path, read: (item: Path) => T): T[] {
    const value: unknown = this.#document.getIn(at);
    if (value === undefined || value === null || value === '') return [];
    if (!isSeq(value)) throw this.#bad(at, `${nameOf(at)}: a list is expected`);
    return value.items.map((_, i) => read([...at, i]));
  }

  #warnUnknown(at: Path, known: readonly string[]): void {
    const value: unknown = at.length === 0 ? this.#document.contents : this.#document.getIn(at);
    if (!isMap(value)) return;
    for (const { key } of value.items) {
      // Why without its name: a slip of the hand can make a key of a secret.
      if (known.includes(String(key))) continue;
      this.#warnings.push(`${this.#where(key)}: no key of ACL files stands here`);
    }
  }

  #where(node: unknown): string {
    const offset = isNode(node) ? node.range?.[0] : undefined;
    const line = offset === undefined ? 1 : this.#lines.linePos(offset).line;
    return `${this.#path}:${line}`;
  }

  /** The complaint, at the thing itself or at the nearest thing around it that exists. */
  #bad(at: Path, text: string): DrError {
    for (let length = at.length; length >= 0; length--) {
      const inner = at.slice(0, length);
      const node = length === 0 ? this.#document.contents : this.#document.getIn(inner, true);
      const offset = isNode(node) ? node.range?.[0] : undefined;
      if (offset === undefined) continue;
      const { line, col } = this.#lines.linePos(offset);
      return configError({ path: this.#path, line, column: col }, text);
    }
    return configError({ path: this.#path, line: 1, column: 1 }, text);
  }
}

/** The last key on a path that is a word. */
const nameOf = (at: Path): string =>
  String(at.findLast((part) => typeof part === 'string') ?? 'file');
