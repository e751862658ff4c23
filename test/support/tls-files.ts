// Key pairs on disk for tests of TLS: self-signed, so that each is its own authority.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { selfSigned } from '../../core-broker/remoting/tls/self-signed.ts';

export interface PairFiles {
  keyPath: string;
  certPath: string;
  password: undefined;
}

export interface TlsFolder {
  folder: string;
  /** Writes a new pair under these file names. @param nowMs when it is made: ten years before its end */
  pair(name: string, nowMs?: number): PairFiles;
  remove(): void;
}

export function tlsFolder(): TlsFolder {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-tls-'));
  return {
    folder,
    pair: (name, nowMs = Date.now()) => {
      const { key, cert } = selfSigned(name, nowMs);
      const keyPath = path.join(folder, `${name}.key`);
      const certPath = path.join(folder, `${name}.pem`);
      fs.writeFileSync(keyPath, key);
      fs.writeFileSync(certPath, cert);
      return { keyPath, certPath, password: undefined };
    },
    remove: () => fs.rmSync(folder, { recursive: true, force: true }),
  };
}
