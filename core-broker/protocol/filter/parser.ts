// SQL92 expressions: text -> nodes by recursive descent, one method per rule of Apache's grammar.
// As there, what follows a whole expression is not looked at. Length, nesting and work are bounded, so
// that no expression can hold up the loop, neither when it is compiled nor once per message.
// Source: SelectorParser.jj of RocketMQ 5.5.0, behaviour only.
import {
  asTruth,
  between,
  constant,
  equal,
  isNull,
  logic,
  minus,
  type Node,
  not,
  notBetween,
  type Order,
  ordered,
  property,
  type TextTest,
  type Truth,
  textTest,
  within,
} from './operations.ts';
import { refuseExpression, type Token, type TokenKind, TokenReader } from './tokens.ts';
import { doubleNumber, fitsLong, wholeNumber } from './values.ts';

export const FILTER_LIMITS = {
  /** Characters of one expression. */
  textMax: 65_536,
  /** Parentheses, signs and NOTs inside each other, and operations on the results of others. */
  depthMax: 256,
  /** Steps of one evaluation. */
  workMax: 10_000,
} as const;

const ORDERS: ReadonlySet<TokenKind> = new Set(['>', '>=', '<', '<=']);
const TEXT_TESTS: ReadonlySet<TokenKind> = new Set(['CONTAINS', 'STARTSWITH', 'ENDSWITH']);
const NEGATABLE: ReadonlySet<TokenKind> = new Set([...TEXT_TESTS, 'BETWEEN', 'IN']);

export interface ParsedFilter {
  root: Truth;
  /** Names of the properties, by slot. */
  names: string[];
}

/** @throws DrError USAGE with reason and position */
export function parseFilter(text: string): ParsedFilter {
  if (text.length > FILTER_LIMITS.textMax) {
    refuseExpression(`longer than ${FILTER_LIMITS.textMax} characters`, FILTER_LIMITS.textMax);
  }
  const parser = new FilterParser(text);
  return { root: parser.whole(), names: parser.names };
}

class FilterParser {
  readonly names: string[] = [];
  readonly #slots = new Map<string, number>();
  readonly #reader: TokenReader;
  #token: Token;
  #nesting = 0;

  constructor(text: string) {
    this.#reader = new TokenReader(text);
    this.#token = this.#reader.next();
  }

  whole(): Truth {
    return this.#kept(asTruth(this.#or()));
  }

  #or(): Node {
    const terms = [this.#and()];
    while (this.#skip('OR')) terms.push(this.#and());
    return terms.length === 1 ? terms[0]! : this.#kept(logic(terms.map(asTruth), true));
  }

  #and(): Node {
    const terms = [this.#equality()];
    while (this.#skip('AND')) terms.push(this.#equality());
    return terms.length === 1 ? terms[0]! : this.#kept(logic(terms.map(asTruth), false));
  }

  #equality(): Node {
    let left = this.#comparison();
    for (;;) {
      if (this.#skip('=')) left = equal(left, this.#comparison());
      else if (this.#skip('<>')) left = not(equal(left, this.#comparison()));
      else if (this.#skip('IS')) left = this.#null(left);
      else return left;
      this.#kept(left);
    }
  }

  #null(left: Node): Truth {
    const isNot = this.#skip('NOT');
    this.#take('NULL');
    return isNot ? not(isNull(left)) : isNull(left);
  }

  #comparison(): Node {
    let left = this.#unary();
    for (;;) {
      const { kind } = this.#token;
      if (ORDERS.has(kind)) {
        this.#next();
        left = ordered(left, kind as Order, this.#unary());
      } else if (kind === 'NOT' || NEGATABLE.has(kind)) left = this.#test(left);
      else return left;
      this.#kept(left);
    }
  }

  /** What may stand behind NOT: text tests, BETWEEN, IN. */
  #test(left: Node): Truth {
    const isNot = this.#skip('NOT');
    const { kind } = this.#token;
    if (!NEGATABLE.has(kind)) return this.#unexpected();
    this.#next();
    if (kind === 'IN') return within(left, this.#list(), isNot);
    if (kind !== 'BETWEEN') {
      return textTest(left, kind as TextTest, this.#take('string').text, isNot);
    }
    const low = this.#unary();
    this.#take('AND');
    const high = this.#unary();
    return isNot ? notBetween(left, low, high) : between(left, low, high);
  }

  #list(): string[] {
    this.#take('(');
    const list = [this.#take('string').text];
    while (this.#skip(',')) list.push(this.#take('string').text);
    this.#take(')');
    return list;
  }

  #unary(): Node {
    const { kind } = this.#token;
    if (kind !== '+' && kind !== '-' && kind !== 'NOT') return this.#primary();
    this.#next();
    this.#enter();
    const inner = this.#unary();
    this.#nesting--;
    if (kind === '+') return inner;
    return this.#kept(kind === '-' ? minus(inner) : not(asTruth(inner)));
  }

  #primary(): Node {
    const token = this.#token;
    const { text, position } = token;
    switch (token.kind) {
      case '(':
        return this.#group();
      case 'name':
        this.#next();
        return property(this.#slotOf(text), position);
      case 'string':
        this.#next();
        return constant(text, position);
      case 'decimal':
        this.#next();
        return constant(decimalOf(token), position);
      case 'float':
        this.#next();
        return constant(floatOf(token), position);
      case 'TRUE':
      case 'FALSE':
      case 'NULL':
        this.#next();
        return constant(token.kind === 'NULL' ? null : token.kind === 'TRUE', position);
      default:
        return this.#unexpected();
    }
  }

  #group(): Node {
    this.#next();
    this.#enter();
    const inner = this.#or();
    this.#nesting--;
    this.#take(')');
    return inner;
  }

  #enter(): void {
    this.#nesting++;
    if (this.#nesting <= FILTER_LIMITS.depthMax) return;
    refuseExpression(`nested deeper than ${FILTER_LIMITS.depthMax}`, this.#token.position);
  }

  /** Refuses what would cost too much; `work` counts an operand as often as it is evaluated. */
  #kept<T extends Node>(node: T): T {
    if (node.work > FILTER_LIMITS.workMax) {
      refuseExpression(`more than ${FILTER_LIMITS.workMax} operations`, this.#token.position);
    }
    if (node.depth <= 2 * FILTER_LIMITS.depthMax) return node;
    return refuseExpression('too many operations on the results of others', this.#token.position);
  }

  #slotOf(name: string): number {
    const present = this.#slots.get(name);
    if (present !== undefined) return present;
    this.#slots.set(name, this.names.length);
    this.names.push(name);
    return this.names.length - 1;
  }

  #next(): void {
    this.#token = this.#reader.next();
  }

  #skip(kind: TokenKind): boolean {
    if (this.#token.kind !== kind) return false;
    this.#next();
    return true;
  }

  #take(kind: TokenKind): Token {
    const token = this.#token;
    if (token.kind !== kind) return this.#unexpected(kind);
    this.#next();
    return token;
  }

  #unexpected(wanted = 'another token'): never {
    const { kind, text, position } = this.#token;
    const found = kind === 'end' ? 'the end' : `"${text.slice(0, 40)}"`;
    return refuseExpression(`Parse error: found ${found}, expected ${wanted}`, position);
  }
}

function decimalOf({ text, position }: Token) {
  const digits = /[lL]$/.test(text) ? text.slice(0, -1) : text;
  const whole = digits.length > 19 ? undefined : BigInt(digits);
  if (whole !== undefined && fitsLong(whole)) return wholeNumber(whole);
  return refuseExpression(`${digits.slice(0, 40)} is no long`, position);
}

/** Apache takes only positive finite doubles here: 0.0 is refused. */
function floatOf({ text, position }: Token) {
  const double = Number(text);
  if (double > 0 && Number.isFinite(double)) return doubleNumber(double);
  return refuseExpression(
    `${text.slice(0, 40)} is not between the least and largest double`,
    position,
  );
}
