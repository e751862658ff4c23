// TLS on the ports of a server, beside plain text: the first byte of a connection tells which (0x16 is
// the start of a TLS handshake and cannot be the start of a frame, whose length would be 350 MiB).
//   permissive  both are served        enforcing  plain text is closed       disabled  TLS is closed
// Rotation: the files are looked at; a new pair takes over for new connections once both files are there,
// belong together and are valid. Until then the old pair serves on. Connections that stand go on.
// Invariant: no byte of a client is handed up before its handshake ended and its certificate was judged.
import * as fs from 'node:fs';
import type { Socket } from 'node:net';
import * as tls from 'node:tls';
import { counter, createLog, DrError } from '../../base/index.ts';
import { isValidNow, type KeyPair, readFile, readKeyPair } from './key-pair.ts';
import { selfSigned } from './self-signed.ts';
import type { TlsServerSettings } from './tls-settings.ts';

const log = createLog('tls');
const LOOK_MS = 1_000;
const HANDSHAKE_MS = 10_000;
const TLS_HANDSHAKE_BYTE = 0x16;

const refused = counter({
  name: 'dr_tls_refused_total',
  help: 'connections closed by the TLS rules of this process',
  labelNames: ['reason'],
});

/** What the first byte of a connection means here. */
export type FirstByte = 'plain' | 'secure' | 'refused';

type Done = (socket: Socket) => void;

export class ServerTls {
  readonly #settings: TlsServerSettings;
  readonly #lookMs: number;
  /** Connections in their handshake, by their two ends. */
  readonly #waiting = new Map<string, Done>();
  #server: tls.Server | undefined;
  #seen = '';
  #timer: NodeJS.Timeout | undefined;

  /** @throws DrError CONFIG when the files are missing or do not belong together */
  constructor(settings: TlsServerSettings, lookMs: number = LOOK_MS) {
    this.#settings = settings;
    this.#lookMs = lookMs;
    if (settings.mode === 'disabled' || settings.files === undefined) return;
    this.#seen = this.#look();
    this.#server = this.#makeServer(readKeyPair(settings.files, undefined));
    this.#sayWhatIsWeak();
  }

  /** Starts to watch the files. */
  start(): void {
    if (this.#settings.files === undefined || this.#settings.mode === 'disabled') return;
    this.#timer ??= setInterval(() => this.lookAgain(), this.#lookMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** How a connection that begins with this byte goes on. */
  judge(firstByte: number | undefined): FirstByte {
    const { mode, isTest } = this.#settings;
    if (firstByte !== TLS_HANDSHAKE_BYTE) {
      if (mode !== 'enforcing') return 'plain';
      refused.inc({ reason: 'plain-text' });
      return 'refused';
    }
    if (mode !== 'disabled' && (this.#server !== undefined || isTest)) return 'secure';
    refused.inc({ reason: 'disabled' });
    return 'refused';
  }

  /** Runs the handshake over `raw`, which still holds every byte that came. */
  accept(raw: Socket, done: Done): void {
    // Why late: most brokers never see TLS, and making a key pair takes a millisecond or two.
    this.#server ??= this.#makeServer(selfSigned('rocketmq-dr', Date.now()));
    const ends = endsOf(raw);
    this.#waiting.set(ends, done);
    raw.once('close', () => this.#waiting.delete(ends));
    this.#server.emit('connection', raw);
  }

  /** Takes new files over when they are whole. */
  lookAgain(): void {
    const { files } = this.#settings;
    if (files === undefined || this.#server === undefined) return;
    try {
      const seen = this.#look();
      if (seen === this.#seen) return;
      this.#seen = seen;
      this.#server.setSecureContext(this.#context(readKeyPair(files, Date.now())));
      log.info('tls.rotated', 'new connections get the new certificate', { cert: files.certPath });
    } catch (reason) {
      const error = DrError.from(reason).message;
      log.warn('tls.unchanged', 'changed files do not fit; the old certificate serves on', {
        error,
      });
    }
  }

  #makeServer(pair: KeyPair): tls.Server {
    const server = tls.createServer({
      ...this.#context(pair),
      requestCert: this.#settings.clientAuth !== 'none',
      // The certificate is judged below: Apache knows certificates that are wanted but not checked.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_MS,
      noDelay: true,
    });
    server.on('secureConnection', (socket) => this.#onSecure(socket));
    server.on('tlsClientError', (reason, socket) => {
      refused.inc({ reason: 'handshake' });
      log.debug('tls.handshake', reason.message);
      socket.destroy();
    });
    return server;
  }

  #context(pair: KeyPair): tls.SecureContextOptions {
    const { isAuthClient, trustPath } = this.#settings;
    const isTrusting = isAuthClient && trustPath !== undefined;
    const options = {
      ...pair,
      minVersion: 'TLSv1.2' as const,
      ...(isTrusting ? { ca: readFile(trustPath) } : {}),
    };
    try {
      tls.createSecureContext(options);
    } catch (cause) {
      throw new DrError('CONFIG', 'the TLS files of this server cannot be used', { cause });
    }
    return options;
  }

  #onSecure(socket: tls.TLSSocket): void {
    const ends = endsOf(socket);
    const done = this.#waiting.get(ends);
    this.#waiting.delete(ends);
    if (done !== undefined && this.#isWelcome(socket)) done(socket);
    else socket.destroy();
  }

  #isWelcome(socket: tls.TLSSocket): boolean {
    const { clientAuth, isAuthClient } = this.#settings;
    if (clientAuth === 'none') return true;
    const hasCertificate = Object.keys(socket.getPeerCertificate()).length > 0;
    const isGood = hasCertificate ? !isAuthClient || socket.authorized : clientAuth === 'optional';
    if (!isGood) refused.inc({ reason: 'client-certificate' });
    return isGood;
  }

  #look(): string {
    const { files, trustPath } = this.#settings;
    const paths = [files?.keyPath, files?.certPath, trustPath];
    return paths
      .filter((file) => file !== undefined)
      .map((file) => {
        const stat = fs.statSync(file, { bigint: true, throwIfNoEntry: false });
        return stat === undefined ? 'gone' : `${stat.mtimeNs}|${stat.size}|${stat.ino}`;
      })
      .join('\n');
  }

  #sayWhatIsWeak(): void {
    const { files, clientAuth, isAuthClient } = this.#settings;
    if (files !== undefined && !isValidNow(readFile(files.certPath), Date.now())) {
      log.error('tls.expired', 'the certificate of this server is not valid now', {
        cert: files.certPath,
        runbook: 'docs/security.md',
      });
    }
    if (clientAuth !== 'none' && !isAuthClient) {
      const text = 'certificates of clients are asked for but not checked';
      log.warn('tls.unchecked', `${text}: set tls.server.authClient=true`);
    }
  }
}

const endsOf = ({ remoteAddress, remotePort, localPort }: Socket): string =>
  `${remoteAddress}|${remotePort}|${localPort}`;
