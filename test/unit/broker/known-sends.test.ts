// What a connection remembers of its sends, apart from the road of a send itself.
import { expect, test } from 'vitest';
import type { Topic } from '../../../core-broker/broker/metadata/index.ts';
import { KnownSends } from '../../../core-broker/broker/send/known-sends.ts';
import { emptyRecord } from '../../../core-broker/broker/writing/index.ts';
import {
  encodeRequest,
  newTopicConfig,
  SendRequestView,
  scanSendRequest,
} from '../../../core-broker/protocol/index.ts';

const topic: Topic = {
  config: newTopicConfig('orders', 4),
  handle: { name: 'orders', bytes: Buffer.from('orders') } as Topic['handle'],
  putCount: 0,
  putBytes: 0,
  isSpecial: false,
  isGone: false,
};

function lesson() {
  const properties = 'UNIQ_KEY\u0001abc\u0002';
  const ext = Object.fromEntries([...'acdefgh'].map((key) => [key, '1']));
  const init = { code: 310, ext: { ...ext, b: 'orders', i: properties }, body: Buffer.alloc(100) };
  const chunk = encodeRequest(init, 1);
  const view = new SendRequestView();
  expect(scanSendRequest(chunk, 0, chunk.length, view)).toBe(true);
  const stored = Buffer.from(`${properties}MSG_REGION\u0001r\u0002`);
  const record = {
    ...emptyRecord(topic.handle),
    body: chunk,
    bodyLength: 100,
    properties: stored,
    propertiesLength: stored.length,
    marks: { tagsStart: -1, tagsEnd: -1, keysStart: -1, keysEnd: -1, uniqStart: 9, uniqEnd: 12 },
  };
  return { chunk, view, topic, record };
}

test('a known send holds no chunk and says where its unique key stands', () => {
  const sends = new KnownSends();
  const { chunk, ...rest } = lesson();
  for (let i = 0; i < 8; i++) sends.missed({ chunk, ...rest });
  const known = sends.find(chunk, 0, chunk.length);
  expect(known?.record.body.length).toBe(0);
  expect(known?.record.properties.buffer).not.toBe(chunk.buffer);
  const { uniqueStart = 0, uniqueLength = 0 } = known ?? {};
  const unique = known?.shape.text.toString('latin1', uniqueStart, uniqueStart + uniqueLength);
  expect(unique).toBe('abc');
});

test('a key that this broker made is not taken for one of the client', () => {
  const sends = new KnownSends();
  const { chunk, view, record } = lesson();
  record.marks = { ...record.marks, uniqStart: view.propertiesLength + 9, uniqEnd: 99 };
  for (let i = 0; i < 50; i++) sends.missed({ chunk, view, topic, record });
  expect(sends.find(chunk, 0, chunk.length)).toBeUndefined();
});
