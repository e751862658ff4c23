// The operations of an SQL92 expression as nodes: each checks its operands when it is made and carries
// one closure that evaluates it. Logic has three values: null = unknown; only true lets a message pass.
// Invariant: `work` bounds the steps of one evaluation and `depth` its recursion; the parser refuses
// what passes either. Source: ComparisonExpression, UnaryExpression, LogicExpression, behaviour only.
import { refuseExpression } from './tokens.ts';
import { compareOrder, compareValues, type JavaNumber, negated, type Value } from './values.ts';

/** The properties of one message; slots are places in CompiledFilter.names. */
export interface PropertyRow {
  /** null = the message has no such property */
  value(slot: number): string | null;
}

type Evaluate<T extends Value> = (row: PropertyRow) => T;

export interface Node {
  readonly shape: 'property' | 'constant' | 'boolean' | 'number';
  readonly evaluate: Evaluate<Value>;
  readonly work: number;
  readonly depth: number;
  /** Of a constant. */
  readonly constant?: Value;
  /** Position in the text, for what is refused later. */
  readonly position: number;
}

export interface Truth extends Node {
  readonly evaluate: Evaluate<boolean | null>;
}

/** Above it a search is done by a table instead of by the engine, whose worst case is a product. */
const SHORT_SEARCH = 16;

export const property = (slot: number, position: number): Node => ({
  shape: 'property',
  evaluate: (row) => row.value(slot),
  work: 1,
  depth: 1,
  position,
});

export const constant = (value: Value, position: number): Node => ({
  shape: 'constant',
  evaluate: () => value,
  work: 1,
  depth: 1,
  constant: value,
  position,
});

const truth = (evaluate: Truth['evaluate'], position: number, ...from: Node[]): Truth => ({
  shape: 'boolean',
  evaluate,
  work: 1 + from.reduce((sum, node) => sum + node.work, 0),
  depth: 1 + Math.max(...from.map((node) => node.depth)),
  position,
});

const isBoolean = (node: Node): boolean =>
  node.shape === 'boolean' || (node.shape === 'constant' && !isValue(node.constant));

/** A constant other than TRUE, FALSE, NULL. */
const isValue = (value: Value | undefined): value is string | JavaNumber =>
  typeof value === 'string' || (typeof value === 'object' && value !== null);

/** The node as a condition: a lone property is one that never holds. */
export function asTruth(node: Node): Truth {
  if (isBoolean(node)) return node as Truth;
  if (node.shape !== 'property') {
    return refuseExpression('Expression will not result in a boolean value', node.position);
  }
  const { evaluate } = node;
  return truth((row) => (evaluate(row) === null ? null : false), node.position, node);
}

/** AND and OR of two or more; `decisive` is the value that settles it. */
export function logic(terms: readonly Truth[], decisive: boolean): Truth {
  const parts = terms.map((term) => term.evaluate);
  const evaluate = (row: PropertyRow): boolean | null => {
    let result: boolean | null = !decisive;
    for (let i = 0; i < parts.length; i++) {
      const value = parts[i]!(row);
      if (value === decisive) return decisive;
      if (value === null) result = null;
    }
    return result;
  };
  return truth(evaluate, terms[0]?.position ?? 1, ...terms);
}

export function not(node: Truth): Truth {
  const { evaluate } = node;
  const opposite = (row: PropertyRow): boolean | null => {
    const value = evaluate(row);
    return value === null ? null : !value;
  };
  return truth(opposite, node.position, node);
}

/** Minus: of anything but a number it is unknown. */
export function minus(node: Node): Node {
  const { evaluate } = node;
  return {
    shape: 'number',
    evaluate: (row) => {
      const value = evaluate(row);
      return typeof value === 'object' && value !== null ? negated(value) : null;
    },
    work: 1 + node.work,
    depth: 1 + node.depth,
    position: node.position,
  };
}

/** `=`; both sides unknown are equal, as in Apache. */
export function equal(left: Node, right: Node): Truth {
  for (const side of [left, right]) {
    if (side.shape === 'constant' && side.constant === null) {
      refuseExpression("'NULL' cannot be compared", side.position);
    }
  }
  const areConstant = left.shape === 'constant' && right.shape === 'constant';
  if (areConstant && isBoolean(left) && !isBoolean(right)) {
    refuseExpression('a boolean cannot be compared with another value', right.position);
  }
  return sameness(left, right);
}

export const isNull = (node: Node): Truth => sameness(node, constant(null, node.position));

function sameness(left: Node, right: Node): Truth {
  const evaluate = (row: PropertyRow): boolean | null => {
    const one = left.evaluate(row);
    const other = right.evaluate(row);
    if (one === null) return other === null ? true : null;
    return other !== null && compareValues(one, other) === 0;
  };
  return truth(evaluate, left.position, left, right);
}

export type Order = '>' | '>=' | '<' | '<=';

const HOLDS: Record<Order, (answer: number) => boolean> = {
  '>': (answer) => answer > 0,
  '>=': (answer) => answer >= 0,
  '<': (answer) => answer < 0,
  '<=': (answer) => answer <= 0,
};

export function ordered(left: Node, order: Order, right: Node): Truth {
  refuseUnordered(left);
  refuseUnordered(right);
  const holds = HOLDS[order];
  const evaluate = (row: PropertyRow): boolean | null => {
    const one = left.evaluate(row);
    if (one === null) return null;
    const other = right.evaluate(row);
    if (other === null) return null;
    // Invariant: no side is boolean, see refuseUnordered.
    return holds(compareOrder(one as string | JavaNumber, other as string | JavaNumber));
  };
  return truth(evaluate, left.position, left, right);
}

function refuseUnordered(node: Node): void {
  const isNumber = typeof node.constant === 'object' && node.constant !== null;
  if (node.shape === 'constant' ? isNumber : node.shape !== 'boolean') return;
  refuseExpression('Value cannot be compared by >, >=, <, <=', node.position);
}

export function between(value: Node, low: Node, high: Node): Truth {
  const { constant: from } = low;
  const { constant: to } = high;
  if (isValue(from) && isValue(to) && typeof from === 'object' && typeof to === 'object') {
    if (compareValues(to, from) < 0) {
      refuseExpression('Illegal values of between, left value must not be larger', low.position);
    }
  }
  return logic([ordered(value, '>=', low), ordered(value, '<=', high)], false);
}

export const notBetween = (value: Node, low: Node, high: Node): Truth =>
  logic([ordered(value, '<', low), ordered(value, '>', high)], true);

export function within(node: Node, list: readonly string[], isNot: boolean): Truth {
  if (node.shape !== 'property') {
    return refuseExpression('Expected a property for In expression', node.position);
  }
  const wanted = new Set<Value>(list);
  const evaluate = (row: PropertyRow): boolean | null => {
    const value = node.evaluate(row);
    return value === null ? null : wanted.has(value) !== isNot;
  };
  return truth(evaluate, node.position, node);
}

export type TextTest = 'CONTAINS' | 'STARTSWITH' | 'ENDSWITH';

/** Never unknown: what is no text, or an empty search, is false, with and without NOT. */
export function textTest(node: Node, test: TextTest, search: string, isNot: boolean): Truth {
  const holds = textHolds(test, search);
  const evaluate = (row: PropertyRow): boolean => {
    if (search === '') return false;
    const value = node.evaluate(row);
    return typeof value === 'string' && holds(value) !== isNot;
  };
  return truth(evaluate, node.position, node);
}

function textHolds(test: TextTest, search: string): (value: string) => boolean {
  if (test === 'STARTSWITH') return (value) => value.startsWith(search);
  if (test === 'ENDSWITH') return (value) => value.endsWith(search);
  if (search.length <= SHORT_SEARCH) return (value) => value.includes(search);
  return linearSearch(search);
}

/** Knuth-Morris-Pratt: time grows with the sum of both lengths, not with their product. */
function linearSearch(search: string): (value: string) => boolean {
  const table = new Int32Array(search.length);
  for (let i = 1, matched = 0; i < search.length; i++) {
    while (matched > 0 && search[i] !== search[matched]) matched = table[matched - 1]!;
    if (search[i] === search[matched]) matched++;
    table[i] = matched;
  }
  return (value) => {
    for (let i = 0, matched = 0; i < value.length; i++) {
      const code = value.charCodeAt(i);
      while (matched > 0 && code !== search.charCodeAt(matched)) matched = table[matched - 1]!;
      if (code === search.charCodeAt(matched)) matched++;
      if (matched === search.length) return true;
    }
    return false;
  };
}
