// White addresses of ACL files as tests on the address of a peer.
//   (empty)            nobody            10.0.0.{1,2}      the last part is one of these
//   *  *.*.*.*         everybody         a,b,c             one of these addresses
//   10.0.*.*           a whole network   10.0.3-7.*        a range; what follows it is not looked at
//   IPv6 in the same forms with `:`; `*` only at the end, a range only in the last or the last but one part
// Invariant: what cannot be read exactly is an error, never a rule that lets more in.
// Source: RemoteAddressStrategyFactory and AclUtils, behaviour only.
import * as net from 'node:net';
import { DrError } from '../../base/index.ts';

/** True when a peer with this address is let in without a signature. */
export type AddressRule = (address: string) => boolean;

const NOBODY: AddressRule = () => false;
const EVERYBODY: AddressRule = () => true;
const EVERYBODY_TEXTS: ReadonlySet<string> = new Set(['*', '*.*.*.*', '*:*:*:*:*:*:*:*']);
const IPV4_IN_IPV6 = '::ffff:';

/** Address parts as numbers, 4 or 8 of them; undefined when the text is no address. */
export function addressParts(text: string): number[] | undefined {
  const isMapped = text.toLowerCase().startsWith(IPV4_IN_IPV6) && text.includes('.');
  const plain = isMapped ? text.slice(IPV4_IN_IPV6.length) : text;
  const family = net.isIP(plain);
  if (family === 4) return plain.split('.').map(Number);
  if (family === 0 || plain.includes('%') || plain.includes('.')) return undefined;
  return expand(plain, 8)?.map((part) => Number.parseInt(part, 16));
}

/** Fills `::` up to `count` parts. */
function expand(text: string, count: number): string[] | undefined {
  const [head = '', tail, ...more] = text.split('::');
  if (more.length > 0) return undefined;
  const left = head === '' ? [] : head.split(':');
  if (tail === undefined) return left.length === count ? left : undefined;
  const right = tail === '' ? [] : tail.split(':');
  const missing = count - left.length - right.length;
  if (missing < 0) return undefined;
  return [...left, ...Array.from({ length: missing }, () => '0'), ...right];
}

/** @throws DrError CONFIG when the text is none of the forms above */
export function addressRule(text: string | undefined): AddressRule {
  const wanted = text?.trim() ?? '';
  if (wanted === '') return NOBODY;
  if (EVERYBODY_TEXTS.has(wanted)) return EVERYBODY;
  if (wanted.endsWith('}')) return anyOf(braced(wanted), wanted);
  if (wanted.includes(',')) return anyOf(wanted.split(','), wanted);
  if (/[*-]/.test(wanted)) return rangeRule(wanted);
  return anyOf([wanted], wanted);
}

const bad = (text: string): DrError =>
  new DrError('CONFIG', `'${text}' is not an address, a range or a list of addresses`);

function braced(text: string): string[] {
  const open = text.indexOf('{');
  const head = text.slice(0, Math.max(open, 0));
  if (!/[.:]$/.test(head)) throw bad(text);
  const items = text.slice(open + 1, -1).split(',');
  return items.map((item) => head + item.trim());
}

function anyOf(texts: readonly string[], whole: string): AddressRule {
  const keys = texts.map((text) => keyOf(text.trim()));
  if (keys.includes(undefined)) throw bad(whole);
  const known = new Set(keys);
  return (address) => known.has(keyOf(address) ?? null!);
}

const keyOf = (text: string): string | undefined => addressParts(text)?.join('.');

interface Span {
  from: number;
  to: number;
}

function rangeRule(text: string): AddressRule {
  const isV6 = text.includes(':');
  const spans = isV6 ? v6Spans(text) : v4Spans(text);
  if (spans === undefined) throw bad(text);
  const count = isV6 ? 8 : 4;
  return (address) => {
    const parts = addressParts(address);
    if (parts?.length !== count) return false;
    return spans.every(({ from, to }, i) => (parts[i] ?? -1) >= from && (parts[i] ?? -1) <= to);
  };
}

function v4Spans(text: string): Span[] | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  return checked(parts, { radix: 10, max: 255, form: /^\d{1,3}$/ });
}

function v6Spans(text: string): Span[] | undefined {
  // `::` stands for zeros before the open end: the end counts as parts of its own.
  const isAny = text.endsWith(':*');
  const head = isAny ? text.slice(0, -2) : text;
  const cut = head.endsWith(':') ? `${head}:` : head;
  const parts = expand(cut.replace(/:::$/, '::'), isAny ? 7 : 8);
  if (parts === undefined) return undefined;
  const open = parts.findIndex((part) => part.includes('-'));
  if (open >= 0 && open !== parts.length - 1) return undefined;
  const all = isAny ? [...parts, '*'] : parts;
  return checked(all, { radix: 16, max: 0xffff, form: /^[0-9a-fA-F]{1,4}$/ });
}

/** Every part as a span. Invariant: nothing exact stands behind an open part. */
function checked(
  parts: readonly string[],
  { radix, max, form }: { radix: number; max: number; form: RegExp },
): Span[] | undefined {
  const spans: Span[] = [];
  let isOpen = false;
  for (const part of parts) {
    const [first = '', second, ...more] = part.trim().split('-');
    const isAny = first === '*' && second === undefined;
    if (more.length > 0) return undefined;
    if (!isAny && (!form.test(first) || (second !== undefined && !form.test(second)))) {
      return undefined;
    }
    const from = isAny ? 0 : Number.parseInt(first, radix);
    const to = isAny ? max : Number.parseInt(second ?? first, radix);
    if (from > to || to > max) return undefined;
    if (isOpen && !isAny) return undefined;
    isOpen ||= isAny || second !== undefined;
    spans.push({ from, to });
  }
  return spans;
}
