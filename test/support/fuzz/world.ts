// A broker and a name server to throw frames at: the whole programs, with their listeners taken out of
// their socket servers. Every exception that is none of ours (a TypeError in a handler) is a finding, and
// so is every exception but PROTOCOL that reaches a connection.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { DrError, Secret } from '../../../core-broker/base/index.ts';
import { createBroker } from '../../../core-broker/broker/index.ts';
import { createNameServer, regionalConfig } from '../../../core-broker/nameserver/index.ts';
import { encodeRequest, RequestCode, ResponseCode } from '../../../core-broker/protocol/index.ts';
import { type FrameListener, RemotingServer } from '../../../core-broker/remoting/index.ts';
import { testConfig } from '../broker-fixture.ts';
import { corpusFor, type WorldKind } from './corpus.ts';
import { fakeConnection } from './fake-connection.ts';

export interface World {
  listener: FrameListener;
  /** Request codes that are not answered with 3. */
  served: ReadonlySet<number>;
  folder: string;
  findings: string[];
  close(): Promise<void>;
}

const ROOM_BYTES = 512 * 1024 * 1024;
/** Why there: sends and tables are written, and it is not the disk that is tested. In a container it may be small. */
const ROOM = hasRoom('/dev/shm') ? '/dev/shm' : os.tmpdir();

function hasRoom(folder: string): boolean {
  if (!fs.existsSync(folder)) return false;
  const { bavail, bsize } = fs.statfsSync(folder);
  return bavail * bsize > ROOM_BYTES;
}

export async function openWorld(kind: WorldKind): Promise<World> {
  const folder = fs.mkdtempSync(path.join(ROOM, 'dr-fuzz-'));
  const findings: string[] = [];
  const stopWatching = watchUnexpected(findings);
  const program = kind === 'nameserver' ? nameserverIn(folder) : brokerIn(folder, kind);
  const { listener, restore } = catchListener();
  await program.start().finally(restore);
  await furnish(listener(), kind);
  return {
    listener: guarded(listener(), findings),
    served: await servedBy(listener()),
    folder,
    findings,
    close: async () => {
      await program.stop();
      stopWatching();
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function servedBy(listener: FrameListener): Promise<Set<number>> {
  const served = new Set<number>();
  for (const code of Object.values(RequestCode)) {
    const line = fakeConnection(listener, () => undefined);
    line.send(encodeRequest({ code }, 1));
    await new Promise((done) => setImmediate(done));
    if (line.last.answer?.code !== ResponseCode.REQUEST_CODE_NOT_SUPPORTED) served.add(code);
    line.connection.close();
  }
  return served;
}

/** Topics, groups and messages that the frames speak of, so that handlers get past "not found". */
async function furnish(listener: FrameListener, kind: WorldKind): Promise<void> {
  const line = fakeConnection(listener, (text) => {
    throw new Error(text);
  });
  const making = new Set([10, 17, 34, 103, 200, 310, 320]);
  for (const { command, frame } of corpusFor(kind, new Set())) {
    if (making.has(command.code)) line.send(frame);
  }
  const ext = {
    topic: 'fuzz',
    defaultTopic: 'TBW102',
    readQueueNums: 4,
    writeQueueNums: 4,
    perm: 6,
  };
  const topic = { ...ext, topicFilterType: 'SINGLE_TAG', topicSysFlag: 0, order: false };
  line.send(encodeRequest({ code: 17, ext: topic }, 1));
  for (const { command, frame } of corpusFor(kind, new Set())) {
    if (making.has(command.code)) line.send(frame);
  }
  // Answers are not waited for: what is held is dropped with the connection.
  await new Promise((done) => setImmediate(done));
  line.connection.close();
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
    onFrames: (connection, chunk, start, end) => {
      try {
        return inner.onFrames?.(connection, chunk, start, end) ?? start;
      } catch (reason) {
        findings.push(`out of onFrames: ${String(reason)}`);
        throw reason;
      }
    },
    onOpen: (connection) => inner.onOpen?.(connection),
    onClose: (connection) => inner.onClose?.(connection),
    onBatchEnd: (connection) => inner.onBatchEnd?.(connection),
  };
}
