// Text of an SQL92 expression -> tokens, one at a time: what stands behind the end of an expression is
// never looked at, and Apache's parser accepts it. The longest token wins, words are taken in any case.
// A comment `--` needs its line end, as there. Positions in errors count from 1.
// Source: SelectorParser.jj of RocketMQ 5.5.0, behaviour only.
import { DrError } from '../../base/index.ts';

const WORDS = [
  'NOT',
  'AND',
  'OR',
  'BETWEEN',
  'IN',
  'TRUE',
  'FALSE',
  'NULL',
  'IS',
  'CONTAINS',
  'STARTSWITH',
  'ENDSWITH',
] as const;
const SIGNS = ['<>', '>=', '<=', '=', '>', '<', '(', ',', ')', '+', '-'] as const;

export type TokenKind =
  | (typeof WORDS)[number]
  | (typeof SIGNS)[number]
  | 'decimal'
  | 'float'
  | 'string'
  | 'name'
  | 'end';

export interface Token {
  kind: TokenKind;
  /** As it stands in the expression; of a string its value. */
  text: string;
  /** Of its first character, from 1. */
  position: number;
}

const WORD_KINDS = new Map<string, TokenKind>(WORDS.map((word) => [word, word]));
// Each pattern is linear: no two parts of one can match the same characters.
const SPACE = /[ \t\n\r\f]+/y;
const LINE_COMMENT = /--[^\n\r]*(?:\r\n|\n|\r)/y;
const NAME = /[A-Za-z_$][A-Za-z0-9_$]*/y;
const FLOAT = /(?:\d+\.\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)/y;
const DECIMAL = /(?:0|[1-9]\d*[lL]?)/y;
const STRING = /'(?:''|[^'])*'/y;

export class TokenReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  /** @throws DrError USAGE when no token begins here */
  next(): Token {
    this.#skip();
    const position = this.#at + 1;
    if (this.#at >= this.#text.length) return { kind: 'end', text: '', position };
    const name = this.#take(NAME);
    if (name !== undefined) {
      return { kind: WORD_KINDS.get(name.toUpperCase()) ?? 'name', text: name, position };
    }
    const quoted = this.#take(STRING);
    if (quoted !== undefined) {
      return { kind: 'string', text: quoted.slice(1, -1).replaceAll("''", "'"), position };
    }
    const float = this.#take(FLOAT);
    if (float !== undefined) return { kind: 'float', text: float, position };
    const decimal = this.#take(DECIMAL);
    if (decimal !== undefined) return { kind: 'decimal', text: decimal, position };
    const sign = SIGNS.find((candidate) => this.#text.startsWith(candidate, this.#at));
    if (sign === undefined) return this.#refuse(position);
    this.#at += sign.length;
    return { kind: sign, text: sign, position };
  }

  #skip(): void {
    while (this.#take(SPACE) ?? this.#take(LINE_COMMENT) ?? this.#skipBlock()) {
      // Each round takes at least one character.
    }
  }

  #skipBlock(): true | undefined {
    if (!this.#text.startsWith('/*', this.#at)) return undefined;
    const end = this.#text.indexOf('*/', this.#at + 2);
    if (end < 0) return undefined;
    this.#at = end + 2;
    return true;
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) return undefined;
    this.#at += found.length;
    return found;
  }

  #refuse(position: number): never {
    const what = this.#text[this.#at] === "'" ? 'a string without its end' : 'no token';
    const shown = this.#text.slice(this.#at, this.#at + 20);
    return refuseExpression(`${what}: ${shown}`, position);
  }
}

/** The one form of what is wrong with an expression. */
export function refuseExpression(why: string, position: number): never {
  throw new DrError('USAGE', `Invalid MessageSelector. ${why} (position ${position})`, {
    context: { position },
  });
}
