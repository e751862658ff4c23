// A broker and a name server to throw frames at: the whole programs, with their listeners taken out of
// their socket servers. Every exception that is none of ours (a TypeError in a handler) is a finding, and
// so is every exception but PROTOCOL that reaches a connection.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { DrError, Secret } from '../../../core-broker/base/index.ts';
import { createBroker } from '../../../core-broker/broker/index.ts';
import { createNameServer, regionalConfig } from '../../../core-broker/nameserver/index.ts';
import { type FrameListener, RemotingServer } from '../../../core-broker/remoting/index.ts';
import { testConfig } from '../broker-fixture.ts';
import type { WorldKind } from './corpus.ts';

export interface World {
  listener: FrameListener;
  folder: string;
  findings: string[];
  close(): Promise<void>;
}

/** Why there: sends and tables are written, and it is not the disk that is tested. */
const ROOM = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir();

export async function openWorld(kind: WorldKind): Promise<World> {
  const folder = fs.mkdtempSync(path.join(ROOM, 'dr-fuzz-'));
  const findings: string[] = [];
  const stopWatching = watchUnexpected(findings);
  const program = kind === 'nameserver' ? nameserverIn(folder) : brokerIn(folder, kind);
  const { listener, restore } = catchListener();
  await program.start().finally(restore);
  return {
    listener: guarded(listener(), findings),
    folder,
    findings,
    close: async () => {
      await program.stop();
      stopWatching();
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

function brokerIn(folder: string, kind: WorldKind) {
  const config = testConfig(path.join(folder, 'store'), { autoCreateTopicEnable: false });
  if (kind === 'broker') return createBroker({ config });
  const nobody = { nameservers: [], brokers: {} };
  return createBroker({
    config,
    dr: {
      region: 'east',
      initialRole: 'active',
      secret: new Secret('the secret of this test'),
      regions: { east: nobody, west: nobody },
      globalNameservers: [],
      standbyGroups: [],
      leaseMs: 0,
      haAllow: [],
    },
  });
}

function nameserverIn(folder: string) {
  const config = regionalConfig({
    listenPort: 0,
    bindAddress: '127.0.0.1',
    configStorePath: path.join(folder, 'ns.conf'),
    kvConfigPath: path.join(folder, 'kv.json'),
  });
  return createNameServer({ config });
}

function catchListener() {
  const original = RemotingServer.prototype.listen;
  let caught: FrameListener | undefined;
  RemotingServer.prototype.listen = function listen(this: RemotingServer) {
    caught ??= this.listener;
    return original.call(this);
  };
  return {
    listener: () => caught as FrameListener,
    restore: () => {
      RemotingServer.prototype.listen = original;
    },
  };
}

/** DrError.from is where every exception passes on its way to an answer or a log. */
function watchUnexpected(findings: string[]): () => void {
  const original = DrError.from;
  DrError.from = (reason: unknown) => {
    const error = original.call(DrError, reason);
    if (error.code === 'UNEXPECTED') {
      findings.push(reason instanceof Error ? (reason.stack ?? String(reason)) : String(reason));
    }
    return error;
  };
  return () => {
    DrError.from = original;
  };
}

function guarded(inner: FrameListener, findings: string[]): FrameListener {
  return {
    onFrame: (connection, chunk, start, end) => {
      try {
        inner.onFrame(connection, chunk, start, end);
      } catch (reason) {
        if (!DrError.is(reason, 'PROTOCOL')) findings.push(`out of onFrame: ${String(reason)}`);
        throw reason;
      }
    },
    onOpen: (connection) => inner.onOpen?.(connection),
    onClose: (connection) => inner.onClose?.(connection),
    onBatchEnd: (connection) => inner.onBatchEnd?.(connection),
  };
}
