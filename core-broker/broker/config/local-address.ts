// The address a broker advertises when the file names none: IPv4 before IPv6, the first public
// address, else the last private one; loopback and internal interfaces only when nothing else exists.
// Source: behaviour of NetworkUtil in Apache RocketMQ.
import * as os from 'node:os';

const PRIVATE = /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|169\.254\.|127\.)/;

/** Best local address as text; 127.0.0.1 when the machine has no other. */
export function localAddress(): string {
  const all = Object.entries(os.networkInterfaces())
    .filter(([name]) => !/^(docker|br-|veth|virbr|ppp)/.test(name))
    .flatMap(([, addresses]) => addresses ?? [])
    .filter((address) => !address.internal && address.family === 'IPv4')
    .map((address) => address.address);
  return all.find((address) => !PRIVATE.test(address)) ?? all.at(-1) ?? '127.0.0.1';
}
