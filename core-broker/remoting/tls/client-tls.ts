// Connections of ours to other servers, plain or by TLS. Files are read at each connect: a rotated
// certificate counts from the next connection on.
// Names are not compared with certificates, as in Apache: brokers are reached by address. What counts is
// who signed: with tls.client.authServer=true only what tls.client.trustCertPath signs is accepted.
import * as net from 'node:net';
import * as tls from 'node:tls';
import { readFile, readKeyPair } from './key-pair.ts';
import type { TlsClientSettings } from './tls-settings.ts';

/** Options for tls.connect. @throws DrError CONFIG when a file cannot be used */
export function clientTlsOptions(settings: TlsClientSettings): tls.ConnectionOptions {
  const { files, isAuthServer, trustPath } = settings;
  return {
    ...(files === undefined ? {} : readKeyPair(files, undefined)),
    ...(isAuthServer && trustPath !== undefined ? { ca: readFile(trustPath) } : {}),
    rejectUnauthorized: isAuthServer,
    checkServerIdentity: () => undefined,
    minVersion: 'TLSv1.2',
  };
}

/** Opens a socket; `ready` is the event after which bytes of ours may be sent. */
export function openSocket(
  target: net.TcpNetConnectOpts,
  settings: TlsClientSettings | undefined,
): { socket: net.Socket; ready: 'connect' | 'secureConnect' } {
  if (settings === undefined) return { socket: net.connect(target), ready: 'connect' };
  // Order: onread belongs to plain sockets; a TLS socket tells of its bytes by events.
  const { onread: _, ...rest } = target;
  const socket = tls.connect({ ...rest, ...clientTlsOptions(settings) });
  return { socket, ready: 'secureConnect' };
}
