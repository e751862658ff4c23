// The HA port against a peer that knows only the classic protocol: every way to begin gives exactly the
// bytes of the source's files, and a store that may not write feeds nobody.
import * as fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HaServer, haStatus } from '../../core-broker/broker/ha/index.ts';
import type { MessageStore } from '../../core-broker/store/index.ts';
import { patiently } from '../support/patiently.ts';
import { int64, RawHaPeer } from '../support/raw-ha-peer.ts';
import {
  appendMessage,
  logBytes,
  openSmallStore,
  SMALL_FILE_BYTES,
  tempFolder,
} from '../support/small-store.ts';

let root: string;
let store: MessageStore;
let server: HaServer;
const peers: RawHaPeer[] = [];
const ends: number[] = [];

function fill(count: number): void {
  for (let i = 0; i < count; i++) {
    const body = 'x'.repeat(200 + (i % 700));
    ends.push(appendMessage(store, { topic: `t${i % 3}`, queueId: i % 4, body }).end);
  }
}

async function serve(more: { allow?: string[]; heartbeatMs?: number } = {}): Promise<void> {
  server = new HaServer({
    store,
    fileSize: SMALL_FILE_BYTES,
    bindAddress: '127.0.0.1',
    port: 0,
    allow: more.allow ?? [],
    frameBytes: 32_768,
    heartbeatMs: () => more.heartbeatMs ?? 5_000,
    silenceMs: () => 20_000,
  });
  await server.start();
}

async function peer(): Promise<RawHaPeer> {
  const one = await RawHaPeer.connect(server.port);
  peers.push(one);
  return one;
}

/** Reads from `report` until the end of the log and compares with the files. */
async function expectCopy(report: number, from: number): Promise<RawHaPeer> {
  await store.dispatched();
  const end = store.storeBounds().maxOffset;
  const one = await peer();
  one.report(report);
  await one.until((it) => it.bodyBytes >= end - from);
  expect(one.frames[0]?.offset).toBe(from);
  expect(one.bodyBytes).toBe(end - from);
  expect(one.body.equals(logBytes(root, from, end))).toBe(true);
  return one;
}

beforeEach(async () => {
  root = tempFolder('ha');
  ends.length = 0;
  store = await openSmallStore({ root, region: 'east' });
  store.guard.open(1);
  fill(600);
  await serve();
});

afterEach(async () => {
  for (const one of peers.splice(0)) one.close();
  await server.stop();
  await store.close();
  fs.rmSync(root, { recursive: true, force: true });
});

describe('HA port', () => {
  it('gives a new slave (report 0) the last file only', async () => {
    const end = store.storeBounds().maxOffset;
    expect(end).toBeGreaterThan(3 * SMALL_FILE_BYTES);
    await expectCopy(0, end - (end % SMALL_FILE_BYTES));
  });

  it('gives everything but byte 0 at report 1', async () => {
    await expectCopy(1, 1);
  });

  it('gives a file and all after it at its start', async () => {
    await expectCopy(SMALL_FILE_BYTES, SMALL_FILE_BYTES);
  });

  it('gives exactly what follows any record boundary, split reports included', async () => {
    await store.dispatched();
    const from = ends[100] as number;
    const end = store.storeBounds().maxOffset;
    const one = await peer();
    const report = Buffer.concat([int64(7), int64(from)]);
    one.send(report.subarray(8, 11));
    await patiently(() => expect(server.peers.length).toBe(1));
    one.send(report.subarray(11));
    await one.until((it) => it.bodyBytes >= end - from);
    expect(one.body.equals(logBytes(root, from, end))).toBe(true);
  });

  it('takes the last of several reports that arrive at once', async () => {
    await store.dispatched();
    const from = ends[200] as number;
    const one = await peer();
    one.send(Buffer.concat([int64(0), int64(from)]));
    await one.until((it) => it.frames.length > 0);
    expect(one.frames[0]?.offset).toBe(from);
  });

  it('follows live appends over a roll of the file and keeps the ack', async () => {
    const one = await expectCopy(1, 1);
    fill(300);
    await store.dispatched();
    const end = store.storeBounds().maxOffset;
    await one.until((it) => it.bodyBytes >= end - 1);
    expect(one.body.equals(logBytes(root, 1, end))).toBe(true);
    one.report(end);
    await patiently(() => expect(server.peers[0]?.ackOffset).toBe(end));
    const body = JSON.parse(String(haStatus(server, store).body));
    expect(body.haConnectionInfo[0]).toMatchObject({ slaveAckOffset: end, diff: 0, inSync: true });
  });

  it('sends nothing at -1 and only heartbeats beyond the end', async () => {
    await server.stop();
    await serve({ heartbeatMs: 10 });
    const silent = await peer();
    silent.report(-1);
    const ahead = await peer();
    const beyond = store.storeBounds().maxOffset + 1_000_000;
    ahead.report(beyond);
    await ahead.until((it) => it.frames.length >= 2);
    expect(ahead.frames.every((frame) => frame.size === 0 && frame.offset === beyond)).toBe(true);
    expect(silent.frames).toEqual([]);
  });

  it('closes peers that are not on the allow-list', async () => {
    await server.stop();
    await serve({ allow: ['10.0.0.0/8', '192.168.1.7'] });
    const one = await peer();
    await one.until((it) => it.isClosed);
    await server.stop();
    await serve({ allow: ['127.0.0.0/8'] });
    await expectCopy(1, 1);
  });

  it('feeds a drain from a sealed store, and nobody once it is deposed', async () => {
    store.guard.fence('op');
    store.guard.seal('op');
    const one = await expectCopy(1, 1);
    store.guard.depose({ region: 'west', epoch: 2 });
    await one.until((it) => it.isClosed);
    const late = await peer();
    late.report(1);
    await late.until((it) => it.isClosed);
    expect(late.frames).toEqual([]);
  });

  it('drops every stream when told of a change of role', async () => {
    const one = await expectCopy(1, 1);
    server.dropAll('test');
    await one.until((it) => it.isClosed);
    await patiently(() => expect(server.peers).toEqual([]));
  });
});
