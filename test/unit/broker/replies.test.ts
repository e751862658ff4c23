// Withheld replies: never early, in order, and byte for byte what the codec would write.
import { describe, expect, test } from 'vitest';
import { DrError, systemClock } from '../../../core-broker/base/index.ts';
import {
  ReplyFields,
  ReplyRelease,
  ReplyTemplate,
  Session,
  WithheldReplies,
} from '../../../core-broker/broker/replies/index.ts';
import { decodeCommand, encodeHost } from '../../../core-broker/protocol/index.ts';
import type { ServerConnection } from '../../../core-broker/remoting/index.ts';

const connection = () => {
  const written: Buffer[] = [];
  const answers: [number, unknown][] = [];
  const made = {
    isOpen: true,
    write: (bytes: Buffer) => void written.push(Buffer.from(bytes)),
    respond: (opaque: number, response: unknown) => void answers.push([opaque, response]),
    pause: () => undefined,
    resume: () => undefined,
  };
  return { connection: made as unknown as ServerConnection, written, answers };
};

const hold = (replies: WithheldReplies, text: string, end: number) => {
  const at = replies.reserve(text.length);
  replies.buffer.write(text, at);
  replies.hold(at + text.length, end, end, 0);
};

describe('withheld replies', () => {
  test('leave only when their record is durable, in order, in one write', () => {
    const { connection: peer, written } = connection();
    const replies = new WithheldReplies();
    hold(replies, 'aa', 10);
    hold(replies, 'bb', 20);
    hold(replies, 'cc', 30);
    replies.release(peer, 9);
    expect(written).toEqual([]);
    replies.release(peer, 20);
    expect(written.map(String)).toEqual(['aabb']);
    hold(replies, 'dd', 40);
    replies.release(peer, 40);
    expect(written.map(String)).toEqual(['aabb', 'ccdd']);
    expect(replies.count).toBe(0);
  });

  test('of a run leave only when their own record is durable', () => {
    const { connection: peer, written } = connection();
    const replies = new WithheldReplies();
    hold(replies, 'first', 5);
    // What lies behind the entries that count is of an earlier run.
    const run = {
      memory: Buffer.from('--aabbbc--'),
      start: 2,
      end: 8,
      count: 3,
      ends: Float64Array.of(10, 20, 30, 1),
      stops: Int32Array.of(2, 5, 6, 1),
      opaques: Int32Array.of(7, 8, 9, 1),
    };
    replies.holdRun(run, 0);
    replies.release(peer, 19);
    expect(written.map(String)).toEqual(['firstaa']);
    replies.holdRun({ ...run, start: 2, end: 4, count: 1, ends: Float64Array.of(40) }, 0);
    expect(replies.count).toBe(3);
    replies.release(peer, 29);
    replies.release(peer, 39);
    expect(written.map(String)).toEqual(['firstaa', 'bbb', 'c']);
    expect(replies.takeOpaques()).toEqual([7]);
  });

  test('keep their order when the buffer grows between releases', () => {
    const { connection: peer, written } = connection();
    const replies = new WithheldReplies();
    let expected = '';
    for (let i = 1; i <= 20_000; i++) {
      const text = `reply-${i};`;
      expected += text;
      hold(replies, text, i);
      if (i % 7 === 0) replies.release(peer, i - 3);
    }
    replies.release(peer, 20_000);
    expect(Buffer.concat(written).toString()).toBe(expected);
  });
});

describe('the template', () => {
  const template = new ReplyTemplate({
    regionId: 'Region"1',
    isTraceOn: true,
    storeHost: encodeHost('10.1.2.3', 10_911),
  });

  test.each([
    [0, 0, 0, 0],
    [7, 3, 123_456_789, 42],
    [-5, 65_535, 2 ** 40 + 5, 2 ** 52],
    [2 ** 31 - 1, 9, 1e15, 99_999_999],
  ])(
    'opaque %i, queue %i, physical %i, offset %i',
    (opaque, queueId, physicalOffset, queueOffset) => {
      const fields = new ReplyFields();
      Object.assign(fields, { opaque, queueId, physicalOffset, queueOffset });
      fields.unique = Buffer.from('xxKEY123');
      fields.uniqueStart = 2;
      fields.uniqueLength = 6;
      const out = Buffer.alloc(template.sizeMax(fields) + 3);
      const end = template.encode(out, 3, fields);
      const hex = physicalOffset.toString(16).toUpperCase().padStart(16, '0');
      expect(decodeCommand(out, 3, end)).toMatchObject({
        code: 0,
        opaque,
        flag: 1,
        language: 'JAVA',
        ext: {
          MSG_REGION: 'Region"1',
          TRACE_ON: 'true',
          queueId: `${queueId}`,
          queueOffset: `${queueOffset}`,
          msgId: `0A01020300002A9F${hex}`,
          transactionId: 'KEY123',
        },
      });
    },
  );
});

describe('release', () => {
  const release = (durable: (end: number) => Promise<void>) =>
    new ReplyRelease({
      onLatency: () => undefined,
      clock: systemClock,
      timeoutMs: undefined,
      durable,
      failure: (reason) => ({ code: 1, remark: reason.message }),
    });

  test('a write error is told to every waiting client and nobody is acknowledged', async () => {
    let fail: (reason: Error) => void = () => undefined;
    const service = release(() => new Promise((_, reject) => (fail = reject)));
    const { connection: peer, written, answers } = connection();
    const session = new Session(peer);
    hold(session.replies, 'ok-1', 10);
    service.held(session, 10);
    hold(session.replies, 'ok-2', 20);
    service.held(session, 20);
    service.onDurable(10);
    fail(new DrError('UNEXPECTED', 'EIO'));
    await new Promise((resolve) => setImmediate(resolve));
    expect(written.map(String)).toEqual(['ok-1']);
    expect(answers).toEqual([[20, { code: 1, remark: 'EIO' }]]);
  });

  test('a record that is durable when its reply is held is answered all the same', async () => {
    const service = release(() => Promise.resolve());
    const { connection: peer, written } = connection();
    const session = new Session(peer);
    hold(session.replies, 'ok', 40);
    service.held(session, 40);
    await new Promise((resolve) => setImmediate(resolve));
    expect(written.map(String)).toEqual(['ok']);
  });

  test('what was durable before the log was cut proves nothing for new records there', async () => {
    const service = release(() => new Promise(() => undefined));
    const { connection: peer, written } = connection();
    const session = new Session(peer);
    service.onDurable(1_000);
    hold(session.replies, 'new', 920);
    service.held(session, 920);
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toEqual([]);
    service.onDurable(920);
    expect(written.map(String)).toEqual(['new']);
  });
});
