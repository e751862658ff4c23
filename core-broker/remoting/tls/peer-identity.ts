// Who this process is to the servers it calls: keys that sign its requests, and TLS. One process has one
// identity; its composition root sets it once, before the first connection, from files and environment.
// Why process-wide: links, registrations, probes and verbs all call in the name of the same operator, and
// a caller that was forgotten would be refused by every broker with ACL.
// Invariant: nothing in here is ever printed.
import type { RequestInit } from '../../protocol/index.ts';
import type { TlsClientSettings } from './tls-settings.ts';

export interface PeerIdentity {
  /** Adds AccessKey and Signature. */
  sign?: (init: RequestInit) => RequestInit;
  /** Calls by TLS when given. */
  tls?: TlsClientSettings;
}

let current: PeerIdentity = {};

export function setProcessIdentity(identity: PeerIdentity): void {
  current = identity;
}

export const processIdentity = (): PeerIdentity => current;
