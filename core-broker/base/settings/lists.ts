// List values inside one .properties line: `a=x,b=y` (pairs) and `east=…|west=…` (per region), and
// addresses `host:port`. Everything here answers with a value or with one sentence about what is wrong;
// the caller knows file and line. Source: ours.

export interface HostPort {
  host: string;
  port: number;
}

/** `host:port`; an IPv6 host may stand in brackets. Undefined when it is neither. */
export function parseHostPort(text: string): HostPort | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^\s:,;|=]+):(\d{1,5})$/.exec(text.trim());
  const port = Number(match?.[2]);
  if (!match || port > 65_535) return undefined;
  return { host: (match[1] ?? '').replace(/^\[|\]$/g, ''), port };
}

/**
 * `name=rest` pairs divided by `separator`; the first `=` ends the name.
 * @returns the pairs in order, or the text of a problem
 */
export function parsePairs(text: string, separator: string): Map<string, string> | string {
  const pairs = new Map<string, string>();
  for (const part of text.split(separator).map((piece) => piece.trim())) {
    if (part === '') continue;
    const at = part.indexOf('=');
    const name = part.slice(0, Math.max(at, 0)).trim();
    const rest = part.slice(at + 1).trim();
    if (name === '' || rest === '') return `'${part}' is not NAME=VALUE`;
    if (pairs.has(name)) return `'${name}' is named twice`;
    pairs.set(name, rest);
  }
  return pairs;
}

/** `host:port` entries divided by `separator`; at least one. */
export function parseAddresses(text: string, separator: string): string[] | string {
  const addresses = text
    .split(separator)
    .map((piece) => piece.trim())
    .filter((piece) => piece !== '');
  const bad = addresses.find((address) => !parseHostPort(address));
  if (bad !== undefined) return `'${bad}' is not host:port`;
  return addresses.length > 0 ? addresses : 'no address';
}
