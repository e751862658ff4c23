// Probes of who gets in and who listens: signed requests that can be sent again, an HA port in clear
// text, certificates that run out. Judged on compiled settings, so that keys of tls.config.file count.
// What ACL and TLS protect at all is told in docs/security.md.
import { X509Certificate } from 'node:crypto';
import * as fs from 'node:fs';
import type { BrokerConfig } from '../../../core-broker/broker/index.ts';
import type { TlsSettings } from '../../../core-broker/remoting/index.ts';
import { type Finding, type FindingState, finding } from './finding.ts';

const DAY_MS = 86_400_000;
const DAYS_WARN = 30;
const DAYS_BAD = 3;

/** @param nowMs the time certificates are judged at */
export function accessFindings(
  { aclEnable, tls }: { aclEnable: boolean; tls: TlsSettings },
  nowMs: number = Date.now(),
): Finding[] {
  const files = {
    'certificate of the server': tls.server.files?.certPath,
    'authority of clients': tls.server.trustPath,
    'certificate as a client': tls.client?.files?.certPath,
    'authority of servers': tls.client?.trustPath,
  };
  const certificates = Object.entries(files).flatMap(([what, file]) =>
    file === undefined ? [] : [certificateFinding(what, file, nowMs)],
  );
  return aclEnable ? [replayFinding(tls), ...certificates] : certificates;
}

/** A signature covers no time and no number used once: who reads a request can send it again. */
function replayFinding(tls: TlsSettings): Finding {
  const isEnforced = tls.server.mode === 'enforcing';
  return finding('access', 'aclEnable', [
    isEnforced ? 'ok' : 'warn',
    isEnforced ? 'signed, and TLS is enforced' : 'signed requests without enforced TLS',
    'whoever sees a signed request can send it again: tls.server.mode=enforcing closes that',
  ]);
}

/**
 * The HA port carries the whole log, and its protocol knows neither keys nor TLS.
 * @param allow haAllow of dr.yaml; undefined when the file is used without it
 */
export function haFinding(
  { bindAddress, haListenPort }: Pick<BrokerConfig, 'bindAddress' | 'haListenPort'>,
  allow: readonly string[] | undefined,
  tls: TlsSettings,
): Finding {
  const check = `HA port ${haListenPort}`;
  if (/^(127\.|::1$|localhost$)/.test(bindAddress)) {
    return finding('access', check, ['ok', 'reached from this machine only']);
  }
  if (allow === undefined || allow.length === 0) {
    return finding('access', check, [
      'warn',
      'clear text, and whoever reaches it may read the whole log',
      'name the peers in haAllow of dr.yaml, or let a firewall pass only them',
    ]);
  }
  return finding('access', check, [
    tls.server.mode === 'enforcing' ? 'warn' : 'ok',
    `clear text, for ${allow.join(', ')} only`,
    'TLS does not cover replication: lead it through a private network or a tunnel',
  ]);
}

function certificateFinding(what: string, file: string, nowMs: number): Finding {
  const check = `${what} ${file}`;
  try {
    const { validFrom, validTo } = new X509Certificate(fs.readFileSync(file));
    const days = (Date.parse(validTo) - nowMs) / DAY_MS;
    const isEarly = Date.parse(validFrom) > nowMs;
    const isLate = days < DAYS_BAD || isEarly;
    const state: FindingState = isLate ? 'bad' : days < DAYS_WARN ? 'warn' : 'ok';
    const until = days < 0 ? `has run out on ${validTo}` : `valid for ${Math.floor(days)} days`;
    const seen = isEarly ? `not valid before ${validFrom}` : until;
    return finding('access', check, [state, seen, 'put a new certificate in its place']);
  } catch (reason) {
    const seen = `cannot be read: ${(reason as Error).message}`;
    return finding('access', check, ['bad', seen, 'name a PEM file this user may read']);
  }
}
