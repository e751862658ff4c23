// Parts of a broker around a REAL epoch guard (its file in a temp folder) and a log that only counts:
// enough to see what fence, seal and boot check do, frame by frame. Not a broker.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { OPEN_ADMISSION } from '../../../core-broker/broker/admission.ts';
import { Parking } from '../../../core-broker/broker/dr/parking.ts';
import { DrAdmission } from '../../../core-broker/broker/dr/roles/dr-admission.ts';
import { FenceDesk } from '../../../core-broker/broker/dr/roles/fence-desk.ts';
import { Knowledge } from '../../../core-broker/broker/dr/roles/knowledge.ts';
import { RetiredOps } from '../../../core-broker/broker/dr/roles/retired-ops.ts';
import type { BrokerParts } from '../../../core-broker/broker/parts.ts';
import {
  decodeCommand,
  encodeRequest,
  type RegionRole,
} from '../../../core-broker/protocol/index.ts';
import type { ServerConnection } from '../../../core-broker/remoting/index.ts';
import { FileEpochGuard } from '../../../core-broker/store/guard/epoch-guard.ts';

export interface FakeAnswer {
  opaque: number;
  code: number;
  remark: string | undefined;
}

export function fakeConnection(answers: FakeAnswer[]): ServerConnection {
  return {
    isOpen: true,
    remoteAddress: '127.0.0.1',
    respond: (opaque: number, response: { code: number; remark?: string }) =>
      answers.push({ opaque, code: response.code, remark: response.remark }),
  } as unknown as ServerConnection;
}

export const sendFrame = (
  opaque: number,
  { oneway = false, body = 'message' }: { oneway?: boolean; body?: string } = {},
): Buffer => encodeRequest({ code: 310, body }, opaque, { oneway });

export interface FakeBroker {
  root: string;
  guard: FileEpochGuard;
  parking: Parking;
  admission: DrAdmission;
  desk: FenceDesk;
  known: Knowledge;
  /** Opaques in the order in which they were appended. */
  appended: number[];
  /** A client's write frame, as the dispatcher treats it. */
  arrive(connection: ServerConnection, frame: Buffer): void;
  /** What the next askPeers() does. */
  onAskPeers: () => void;
  close(): void;
}

export function fakeBroker(role: RegionRole = 'active', waitMs = 60_000): FakeBroker {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-fence-'));
  const file = path.join(root, 'drEpoch');
  const guard = FileEpochGuard.load({ file, region: 'east', initialRole: role }, 0, false);
  const appended: number[] = [];
  const parking = new Parking({ waitMs });
  const done = () => Promise.resolve();
  const append = (frame: Buffer) => {
    guard.check('local', guard.state.epoch);
    appended.push(decodeCommand(frame, 0, frame.length).opaque);
  };
  const parts = {
    store: {
      guard,
      storeBounds: () => ({ maxOffset: appended.length }),
      durable: done,
      flush: done,
      dispatched: done,
    },
    clock: { monotonicMs: () => performance.now(), nowMs: () => Date.now() },
    schedule: { start: () => undefined, stop: () => undefined },
    timers: { stopped: done },
    tables: { save: () => undefined },
    frames: {
      inject: (_connection: ServerConnection, frame: Buffer) => {
        if (admission.state !== 'open') throw new Error('injected while not open');
        append(frame);
      },
    },
    admission: { current: OPEN_ADMISSION },
  } as unknown as BrokerParts;
  const known = new Knowledge(guard, () => admission.refresh());
  const admission: DrAdmission = new DrAdmission({
    guard,
    parking,
    known,
    standbyGroups: new Set(['near']),
    isRefusingFence: () => false,
    awaitsRelay: () => false,
    leaseHolds: undefined,
    nowMs: () => performance.now(),
  });
  const desk = new FenceDesk({
    parts,
    parking,
    admission,
    retired: new RetiredOps(root),
    refresh: () => {
      admission.refresh();
      if (guard.writeState === 'open') desk.release();
    },
    askPeers: async () => broker.onAskPeers(),
  });
  desk.start();
  const broker: FakeBroker = {
    root,
    guard,
    parking,
    admission,
    desk,
    known,
    appended,
    arrive: (connection, frame) => {
      if (admission.state === 'open') append(frame);
      else if (admission.state !== 'parked' || !admission.park(connection, frame)) {
        const { code, remark } = admission.refusal();
        const { opaque } = decodeCommand(frame, 0, frame.length);
        connection.respond(opaque, { code, remark });
      }
    },
    onAskPeers: () => undefined,
    close: () => {
      desk.stop();
      fs.rmSync(root, { recursive: true, force: true });
    },
  };
  return broker;
}
