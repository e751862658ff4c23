// Reader of the JSON dialect that fastjson writes: unquoted numeric keys, objects as map keys and
// `$ref` pointers to an object written before. Strict JSON takes the engine's parser; the own parser
// runs only for the dialect. An object key becomes its strict JSON text, which is also the form that
// Java accepts, so `{{"topic":"T"}:1}` and `{"{\"topic\":\"T\"}":1}` read the same.
// Invariants: nesting is bounded before anything recursive runs; results are plain data.
// Source: behaviour of fastjson 1.2.83.
import { DrError, LIMITS } from '../../base/index.ts';

type JsonObject = Record<string, unknown>;

/**
 * Parses strict or fastjson-dialect text.
 * @throws DrError PROTOCOL when it is neither or nests deeper than LIMITS.jsonDepthMax
 */
export function parseJson(text: string): unknown {
  const value = parseJsonTree(text);
  return text.includes('"$ref"') ? resolveRefs(value) : value;
}

/** As parseJson, but `$ref` objects stay as they are: the result is a tree, never a graph. */
export function parseJsonTree(text: string): unknown {
  checkDepth(text);
  return parseEither(text);
}

/** As parseJson, for a body of bytes; the value must be an object. */
export function parseJsonObject(body: Uint8Array | string | undefined): JsonObject {
  if (body === undefined) throw new DrError('PROTOCOL', 'a JSON body is missing');
  const text =
    typeof body === 'string'
      ? body
      : Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DrError('PROTOCOL', 'a JSON object is expected');
  }
  return value as JsonObject;
}

function parseEither(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (reason) {
    // Expected: the fastjson dialect is not JSON.
    if (!(reason instanceof SyntaxError)) throw reason;
    return new DialectReader(text).read();
  }
}

/** Counts brackets outside strings; cheap and never recursive. */
function checkDepth(text: string): void {
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (inString) {
      if (c === 0x5c) i++;
      else if (c === 0x22) inString = false;
      continue;
    }
    if (c === 0x22) inString = true;
    else if (c === 0x7b || c === 0x5b) {
      if (++depth > LIMITS.jsonDepthMax) throw new DrError('PROTOCOL', 'JSON nests too deep');
    } else if (c === 0x7d || c === 0x5d) depth--;
  }
}

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const BARE_KEY = /[A-Za-z_$0-9.+-]+/y;
const WORD = /[a-zA-Z]+/y;
const STRING = /"(?:[^"\\]|\\.)*"/sy;
const BLANK = /\s*/y;
const WORDS: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['true', true],
  ['false', false],
  ['null', null],
  ['NaN', null],
]);

class DialectReader {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  read(): unknown {
    const value = this.#value();
    this.#match(BLANK);
    if (this.#at !== this.#text.length) throw this.#error('text after the value');
    return value;
  }

  #value(): unknown {
    this.#match(BLANK);
    const c = this.#text[this.#at];
    if (c === '{') return this.#nested(() => this.#object());
    if (c === '[') return this.#nested(() => this.#array());
    if (c === '"') return this.#string();
    const number = this.#match(NUMBER);
    if (number !== undefined) return Number(number);
    const word = this.#match(WORD) ?? '';
    if (WORDS.has(word)) return WORDS.get(word);
    throw this.#error('a value is expected');
  }

  /** The depth check of the text trusts quotes; odd quoting must not get around the bound. */
  #nested<T>(read: () => T): T {
    if (++this.#depth > LIMITS.jsonDepthMax) throw this.#error('too deep');
    const value = read();
    this.#depth--;
    return value;
  }

  #object(): JsonObject {
    const result: JsonObject = {};
    this.#at++;
    if (this.#take('}')) return result;
    do {
      if (this.#peek() === '}') break;
      const key = this.#key();
      if (!this.#take(':')) throw this.#error("':' is expected");
      setOwn(result, key, this.#value());
    } while (this.#take(','));
    if (!this.#take('}')) throw this.#error("'}' is expected");
    return result;
  }

  #key(): string {
    const c = this.#peek();
    if (c === '"') return this.#string();
    if (c === '{') return JSON.stringify(this.#nested(() => this.#object()));
    const bare = this.#match(BARE_KEY);
    if (bare === undefined) throw this.#error('a key is expected');
    return bare;
  }

  #array(): unknown[] {
    const result: unknown[] = [];
    this.#at++;
    if (this.#take(']')) return result;
    do {
      if (this.#peek() === ']') break;
      result.push(this.#value());
    } while (this.#take(','));
    if (!this.#take(']')) throw this.#error("']' is expected");
    return result;
  }

  #string(): string {
    const token = this.#match(STRING);
    if (token === undefined) throw this.#error('a string does not end');
    try {
      return JSON.parse(token) as string;
    } catch (cause) {
      throw this.#error('a string has a bad escape', cause);
    }
  }

  #peek(): string | undefined {
    this.#match(BLANK);
    return this.#text[this.#at];
  }

  #take(c: string): boolean {
    if (this.#peek() !== c) return false;
    this.#at++;
    return true;
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found) this.#at += found.length;
    return found || undefined;
  }

  #error(problem: string, cause?: unknown): DrError {
    return new DrError('PROTOCOL', `JSON: ${problem} at ${this.#at}`, { cause });
  }
}

/** Plain assignment would call the `__proto__` setter. */
function setOwn(target: JsonObject, key: string, value: unknown): void {
  Object.defineProperty(target, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

type Slot = { parent: JsonObject | unknown[]; key: string; ancestors: unknown[] };

/** Replaces `{"$ref": path}` objects by what they point to. An unknown path becomes null, as in Java. */
function resolveRefs(root: unknown): unknown {
  const slots: (Slot & { path: string })[] = [];
  const visit = (node: unknown, slot: Slot): void => {
    if (typeof node !== 'object' || node === null) return;
    const path = refPath(node);
    if (path !== undefined) {
      slots.push({ ...slot, path });
      return;
    }
    const ancestors = [...slot.ancestors, node];
    for (const [key, child] of Object.entries(node)) {
      visit(child, { parent: node as JsonObject, key, ancestors });
    }
  };
  const holder: JsonObject = { root };
  visit(root, { parent: holder, key: 'root', ancestors: [] });
  for (const slot of slots) {
    const target = lookUp(root, slot);
    if (Array.isArray(slot.parent)) slot.parent[Number(slot.key)] = target;
    else setOwn(slot.parent, slot.key, target);
  }
  return holder['root'];
}

function refPath(node: object): string | undefined {
  const keys = Object.keys(node);
  if (keys.length !== 1 || keys[0] !== '$ref') return undefined;
  const path = (node as JsonObject)['$ref'];
  return typeof path === 'string' ? path : undefined;
}

function lookUp(root: unknown, slot: { path: string; ancestors: unknown[] }): unknown {
  if (slot.path === '@') return slot.ancestors.at(-1) ?? null;
  if (slot.path === '..') return slot.ancestors.at(-2) ?? null;
  let node: unknown = root;
  // Steps: .name with backslash escapes, [3] or ['name'].
  for (const step of slot.path.matchAll(/\.((?:\\.|[^.[\\])+)|\[('?)([^\]]*?)\2\]/gs)) {
    const key = (step[1] ?? step[3] ?? '').replace(/\\(.)/gs, '$1');
    if (typeof node !== 'object' || node === null || !Object.hasOwn(node, key)) return null;
    node = (node as JsonObject)[key];
  }
  return node;
}
