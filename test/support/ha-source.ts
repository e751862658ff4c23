// A source of a link, made of real sockets: an HA port that speaks the classic protocol and a remoting
// port that answers either LINK_ATTACH/LINK_STATUS (ours) or 26/28/33 (stock). The log is in memory and
// can grow, go back or be another one; faults are switched on by fields.
import * as net from 'node:net';
import { Secret } from '../../core-broker/base/index.ts';
import {
  type AttachRequest,
  type AttachResult,
  DR_CODE,
  DrRequestVerifier,
  type LineageEntry,
  type LinkStatusRequest,
  type RemotingCommand,
  RequestCode,
  type ResponseInit,
} from '../../core-broker/protocol/index.ts';
import {
  RemotingServer,
  RequestDispatcher,
  type RequestHandler,
} from '../../core-broker/remoting/index.ts';
import type { LogMaker } from './record-log.ts';

const WORD = 2 ** 32;

export class HaSource {
  readonly secret = new Secret('link-test-secret');
  log: LogMaker;
  kind: 'ours' | 'stock' = 'ours';
  epoch = 1;
  region = 'west';
  storeId = 'source-store';
  lineage: LineageEntry[] = [{ epoch: 1, boot: 'b1', startOffset: 0 }];
  minOffset = 0;
  /** Overrides the verdict of LINK_ATTACH. */
  verdict: ((request: AttachRequest) => Partial<AttachResult> | undefined) | undefined;
  /** Bytes per frame. */
  frameBytes = 1000;
  /** Changes a frame on its way out, or ends the stream with undefined. */
  mangle: ((frame: Buffer, offset: number) => Buffer) | undefined;
  /** Sends nothing any more, not even heartbeats. */
  isSilent = false;
  heartbeatMs = 50;
  readonly attaches: AttachRequest[] = [];
  readonly statusCalls: LinkStatusRequest[] = [];
  /** Reports per connection, in order. */
  readonly reports: number[][] = [];
  metadata = { topics: 1, groups: 1 };
  queueMaxima: Record<string, number> = {};
  haAddressOverride: string | undefined;
  readonly #verifier = new DrRequestVerifier(this.secret);
  readonly #sockets = new Set<net.Socket>();
  readonly #ha = net.createServer((socket) => this.#serve(socket));
  #remoting: RemotingServer | undefined;
  #remotingPort = 0;

  constructor(log: LogMaker) {
    this.log = log;
  }

  get address(): string {
    return `127.0.0.1:${this.#remotingPort}`;
  }

  get haAddress(): string {
    return `127.0.0.1:${(this.#ha.address() as net.AddressInfo).port}`;
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#ha.listen(0, '127.0.0.1', resolve));
    const dispatcher = new RequestDispatcher({
      handlers: this.#handlers(),
      toResponse: (error) => ({ code: 1, remark: error.message }),
    });
    this.#remoting = new RemotingServer({ host: '127.0.0.1', port: 0, listener: dispatcher });
    this.#remotingPort = await this.#remoting.listen();
    return this;
  }

  /** Resets every HA connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await this.#remoting?.close();
    await new Promise<void>((resolve) => this.#ha.close(() => resolve()));
  }

  #handlers(): Map<number, RequestHandler> {
    const json = (value: unknown): ResponseInit => ({ code: 0, body: JSON.stringify(value) });
    const only =
      (kind: 'ours' | 'stock', handler: (request: RemotingCommand) => ResponseInit) =>
      (request: RemotingCommand): ResponseInit =>
        this.kind === kind ? handler(request) : { code: 3, remark: 'not supported' };
    const any = (handler: () => ResponseInit) => () => handler();
    return new Map<number, RequestHandler>([
      [DR_CODE.LINK_ATTACH, only('ours', (request) => json(this.#attach(request)))],
      [DR_CODE.LINK_STATUS, only('ours', (request) => json(this.#status(request)))],
      [RequestCode.GET_BROKER_CONFIG, any(() => this.#config())],
      [RequestCode.GET_BROKER_RUNTIME_INFO, any(() => json({ table: this.#runtime() }))],
      [RequestCode.VIEW_MESSAGE_BY_ID, (request) => this.#view(Number(request.ext['offset']))],
      [RequestCode.GET_ALL_TOPIC_CONFIG, any(() => json(topicTable(this.metadata.topics)))],
      [RequestCode.GET_ALL_SUBSCRIPTIONGROUP_CONFIG, any(() => json(groupTable()))],
      [
        RequestCode.GET_ALL_CONSUMER_OFFSET,
        any(() => json({ offsetTable: { 'orders@billing': { 0: 7, 1: 3 } } })),
      ],
      [RequestCode.GET_ALL_DELAY_OFFSET, any(() => json({ offsetTable: { 1: 5 } }))],
    ]);
  }

  #attach(command: RemotingCommand): AttachResult {
    this.#verifier.verify(command, Date.now());
    const request = JSON.parse(command.body?.toString() ?? '{}') as AttachRequest;
    this.attaches.push(request);
    return {
      verdict: request.position < this.minOffset ? 'refused' : 'resume',
      truncateTo: 0,
      reason: undefined,
      epoch: this.epoch,
      lineage: this.lineage,
      minOffset: this.minOffset,
      maxOffset: this.log.end,
      mappedFileSizeCommitLog: 65_536,
      haAddress: this.haAddressOverride ?? this.haAddress,
      storeId: this.storeId,
      region: this.region,
      ...this.verdict?.(request),
    };
  }

  #status(command: RemotingCommand) {
    this.#verifier.verify(command, Date.now());
    const request = JSON.parse(command.body?.toString() ?? '{}') as LinkStatusRequest;
    this.statusCalls.push(request);
    const missing = this.log.records.filter((offset) => offset >= request.position);
    return {
      epoch: this.epoch,
      minOffset: this.minOffset,
      maxOffset: this.log.end,
      lagMessages: missing.length,
      oldestUnsharedMs: missing.length === 0 ? 0 : Date.now() - 1_500,
      nowMs: Date.now(),
      queueMaxima: this.queueMaxima,
    };
  }

  #config(): ResponseInit {
    const port = this.haAddress.split(':')[1];
    return {
      code: 0,
      body: `haListenPort=${port}\nmappedFileSizeCommitLog=65536\nbrokerRole=ASYNC_MASTER\n`,
    };
  }

  #runtime(): Record<string, string> {
    return {
      commitLogMinOffset: String(this.minOffset),
      commitLogMaxOffset: String(this.log.end),
      putMessageAverageSize: '200.0',
    };
  }

  #view(offset: number): ResponseInit {
    if (!this.log.records.includes(offset)) return { code: 1, remark: 'not found' };
    const at = offset - this.log.startOffset;
    const { bytes } = this.log;
    return { code: 0, body: bytes.subarray(at, at + bytes.readInt32BE(at)) };
  }

  #serve(socket: net.Socket): void {
    this.#sockets.add(socket);
    const reports: number[] = [];
    this.reports.push(reports);
    let pending = Buffer.alloc(0);
    let next = -1;
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      for (; pending.length >= 8; pending = pending.subarray(8)) {
        const report = pending.readInt32BE(0) * WORD + pending.readUInt32BE(4);
        reports.push(report);
        if (next < 0) next = report;
      }
    });
    let lastMs = 0;
    const timer = setInterval(() => {
      if (next < 0 || this.isSilent) return;
      while (next >= this.minOffset && next < this.log.end && socket.writableLength < 1_000_000) {
        const at = next - this.log.startOffset;
        const body = this.log.bytes.subarray(at, at + this.frameBytes);
        if (!this.#send(socket, next, body)) return;
        next += body.length;
        lastMs = Date.now();
      }
      if (Date.now() - lastMs >= this.heartbeatMs) {
        lastMs = Date.now();
        this.#send(socket, next, Buffer.alloc(0));
      }
    }, 2);
    socket.on('close', () => {
      clearInterval(timer);
      this.#sockets.delete(socket);
    });
  }

  #send(socket: net.Socket, offset: number, body: Buffer): boolean {
    const frame = Buffer.alloc(12 + body.length);
    frame.writeUInt32BE(Math.floor(offset / WORD), 0);
    frame.writeUInt32BE(offset % WORD, 4);
    frame.writeInt32BE(body.length, 8);
    body.copy(frame, 12);
    socket.write(this.mangle?.(frame, offset) ?? frame);
    return !socket.destroyed;
  }
}

const topicTable = (count: number) => ({
  dataVersion: { counter: 1, stateVersion: 0, timestamp: 1 },
  topicConfigTable: Object.fromEntries(
    Array.from({ length: count }, (_, i) => [
      `topic${i}`,
      { topicName: `topic${i}`, perm: 6, readQueueNums: 4, writeQueueNums: 4 },
    ]),
  ),
});

const groupTable = () => ({
  dataVersion: { counter: 1, stateVersion: 0, timestamp: 1 },
  subscriptionGroupTable: { billing: { groupName: 'billing' }, private: { groupName: 'private' } },
});
