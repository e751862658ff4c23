// Addresses: `host:port` text and the record form, 4 or 16 address bytes followed by int32 port.
// IPv4-mapped IPv6 addresses (::ffff:1.2.3.4), which dual-stack sockets report, become IPv4.
import { DrError } from '../../base/index.ts';

export interface HostPort {
  host: string;
  port: number;
}

/** Splits `host:port` at the last colon; `[::1]:1` loses its brackets. @throws DrError USAGE */
export function parseAddress(address: string): HostPort {
  const colon = address.lastIndexOf(':');
  const port = Number(address.slice(colon + 1));
  const host = address.slice(0, Math.max(colon, 0)).replace(/^\[(.*)\]$/, '$1');
  const valid = colon > 0 && host !== '' && /^\d{1,5}$/.test(address.slice(colon + 1));
  if (!valid || port > 65535) {
    throw new DrError('USAGE', `"${address}" is not an address of the form host:port`);
  }
  return { host, port };
}

/** `host:port`, IPv6 in brackets. */
export const formatAddress = ({ host, port }: HostPort): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** Record form of an IP address and port. @throws DrError USAGE when `host` is a name */
export function encodeHost(host: string, port: number): Buffer {
  const ip = stripMapping(host);
  const bytes = IPV4.test(ip) ? ip.split('.').map(Number) : ipv6Bytes(ip);
  const out = Buffer.alloc(bytes.length + 4);
  out.set(bytes);
  out.writeInt32BE(port, bytes.length);
  return out;
}

/** Reads the record form at `at`. @param wide 16 address bytes instead of 4 */
export function decodeHost(bytes: Buffer, at: number, wide: boolean): HostPort {
  const length = wide ? 16 : 4;
  const port = bytes.readInt32BE(at + length);
  const part = bytes.subarray(at, at + length);
  return { host: wide ? ipv6Text(part) : part.join('.'), port };
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;

const stripMapping = (host: string): string => {
  const plain = host.replace(/%.*$/, '');
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(plain) ? plain.slice(7) : plain;
};

function ipv6Bytes(ip: string): number[] {
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').flatMap((part) => groupBytes(part));
  const [head = '', tail, extra] = ip.split('::');
  const before = groups(head);
  const after = groups(tail ?? '');
  const missing = 16 - before.length - after.length;
  const isWhole = tail === undefined ? missing === 0 : missing > 0 && extra === undefined;
  if (!isWhole || ![...before, ...after].every((byte) => byte >= 0 && byte <= 255)) {
    throw new DrError('USAGE', `"${ip}" is not an IP address`);
  }
  return [...before, ...new Array(missing).fill(0), ...after];
}

function groupBytes(part: string): number[] {
  if (IPV4.test(part)) return part.split('.').map(Number);
  const value = /^[0-9a-f]{1,4}$/i.test(part) ? Number.parseInt(part, 16) : Number.NaN;
  if (Number.isNaN(value)) return [-1, -1];
  return [value >> 8, value & 0xff];
}

/** Compressed text as RFC 5952 asks: the longest run of zero groups becomes `::`. */
function ipv6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16));
  const run = groups
    .join(':')
    .match(/\b0(?::0)+\b/g)
    ?.reduce((best, next) => (next.length > best.length ? next : best), '');
  const text = groups.join(':');
  if (!run) return text;
  const at = text.search(new RegExp(`(^|:)${run}(:|$)`));
  const head = text.slice(0, at);
  const rest = text.slice(at).replace(/^:/, '').slice(run.length).replace(/^:/, '');
  return `${head}::${rest}`;
}
