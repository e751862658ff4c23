// The walk of rebuild and verify on two threads against the plain scan of the same log: the same records
// with the same digests, and the same end when bytes are damaged.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DrError } from '../../../core-broker/base/index.ts';
import { openStore } from '../../../core-broker/store/index.ts';
import { LogState } from '../../../core-broker/store/log/log-state.ts';
import {
  type ClosedStore,
  openClosedStore,
} from '../../../core-broker/store/offline/closed-store.ts';
import { type OnDigest, walkDigests } from '../../../core-broker/store/offline/digest-walk.ts';
import { DelayLevels } from '../../../core-broker/store/queue/digest/delay-levels.ts';
import { Digester } from '../../../core-broker/store/queue/digest/digester.ts';
import type { RecordDigest } from '../../../core-broker/store/queue/digest/record-digest.ts';
import type { Topic } from '../../../core-broker/store/queue/topic-table.ts';
import { scanRecords } from '../../../core-broker/store/read/log-scan.ts';
import { recordSource, smallStoreOptions, tempFolder } from '../../support/store-options.ts';

const RECORDS = 400;
let root = '';
let closed: ClosedStore;

beforeEach(async () => {
  root = tempFolder();
  const store = await openStore(smallStoreOptions(root));
  for (let i = 0; i < RECORDS; i++) {
    const topic = i % 7 === 0 ? 'SCHEDULE_TOPIC_XXXX' : `t${i % 3}`;
    const properties = { TAGS: `tag${i % 4}`, KEYS: `k${i} all`, DELAY: '3' };
    const body = Buffer.alloc((i * 71) % 900, i);
    store.append(recordSource(store, { topic, queueId: i % 2, body, properties }));
    if (i % 50 === 49) await store.flush();
  }
  await store.close();
  closed = openClosedStore(root, {});
});

afterEach(() => {
  closed.close();
  fs.rmSync(root, { recursive: true });
});

const lineOf = (topic: Topic, digest: RecordDigest): string => {
  const { physicalOffset, size, queueId, queueOffset, tagsCode, isQueued } = digest;
  const keys = [...digest.keyHashes.slice(0, digest.keyCount)].join();
  const time = digest.storeTimestampMs;
  return [
    topic.name,
    physicalOffset,
    size,
    queueId,
    queueOffset,
    tagsCode,
    isQueued,
    keys,
    time,
  ].join();
};

/** The plain road; a topic that is none ends it, as it ends the walk. */
function scanned(): { lines: string[]; end: number } {
  const digester = new Digester(new DelayLevels(closed.messageDelayLevel), true);
  const lines: string[] = [];
  let end = closed.files.minOffset;
  try {
    end = scanRecords(closed.files, end, (buf, record) => {
      const topic = closed.topics.ofBytes(buf, record.topicStart, record.topicLength);
      lines.push(lineOf(topic, digester.make(buf, record, topic)));
      end = record.physicalOffset + record.size;
    }).end;
  } catch (reason) {
    if (!DrError.is(reason, 'CORRUPT')) throw reason;
  }
  return { lines, end };
}

async function walked(onDigest?: OnDigest): Promise<{ lines: string[]; end: number }> {
  const lines: string[] = [];
  const state = new LogState();
  const take: OnDigest = (topic, digest) => {
    onDigest?.(topic, digest);
    lines.push(lineOf(topic, digest));
    state.dispatched = digest.physicalOffset + digest.size;
  };
  const end = await walkDigests(closed, take, { state, hasIndex: true });
  return { lines, end };
}

function flip(offset: number): void {
  const file = closed.files.find(offset);
  if (file === undefined) throw new Error(`no file holds ${offset}`);
  const byte = Buffer.alloc(1);
  fs.readSync(file.fd, byte, 0, 1, offset - file.start);
  byte[0] = (byte[0] as number) ^ 0x5a;
  fs.writeSync(file.fd, byte, 0, 1, offset - file.start);
}

describe('the walk on two threads', () => {
  test('shows what a scan shows, over the ends of files', async () => {
    const plain = scanned();
    expect(plain.lines).toHaveLength(RECORDS);
    expect(closed.files.all.length).toBeGreaterThan(1);
    expect(await walked()).toEqual(plain);
  });

  test('ends where a scan ends, whichever byte is damaged', async () => {
    const { end } = scanned();
    for (let round = 0; round < 6; round++) {
      const offset = Math.floor((end / 6) * round + ((round * 7919) % 331));
      flip(offset);
      expect(await walked(), `byte ${offset}`).toEqual(scanned());
      flip(offset);
    }
  });

  test('fails with the reason of the caller, also when that is a full disk', async () => {
    for (const reason of [
      new DrError('DISK_FULL', 'no room'),
      Object.assign(new Error('no room'), { code: 'ENOSPC' }),
    ]) {
      let count = 0;
      const failing = () => {
        if (++count === 100) throw reason;
      };
      await expect(walked(failing)).rejects.toBe(reason);
    }
  });

  test('fails when a file cannot be read, and takes it for no end of the log', async () => {
    const second = closed.files.all[1]?.path as string;
    fs.renameSync(second, path.join(root, 'away'));
    await expect(walked()).rejects.toMatchObject({ code: expect.not.stringMatching('CANCELLED') });
    fs.renameSync(path.join(root, 'away'), second);
  });
});
