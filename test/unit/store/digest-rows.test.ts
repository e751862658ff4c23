// Rows of the send kernel on their way to the pump: lent for the very record they were made of, in parts when
// only a part is written, skipped when that record went another way, forgotten when the log was cut.
import * as fs from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SendKernel, sendLayout } from '../../../core-broker/kernel/index.ts';
import { LogState } from '../../../core-broker/store/log/log-state.ts';
import { Ring } from '../../../core-broker/store/log/ring.ts';
import { DigestRows } from '../../../core-broker/store/log/run/digest-rows.ts';
import { DelayLevels } from '../../../core-broker/store/queue/digest/delay-levels.ts';
import { RecordDigest } from '../../../core-broker/store/queue/digest/record-digest.ts';
import { rowLength, writeRow } from '../../../core-broker/store/queue/digest/record-row.ts';
import { Dispatcher, type RowRun } from '../../../core-broker/store/queue/dispatcher.ts';
import { TopicTable } from '../../../core-broker/store/queue/topic-table.ts';
import { tempFolder } from '../../support/store-options.ts';

const SIZE = 100;
let folder = '';
let world: World;
beforeEach(() => {
  folder = tempFolder();
  world = new World();
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

/** The rows, and a ring in which records of SIZE bytes stand. */
class World {
  readonly ring = new Ring(1024 * 1024, 4096);
  readonly state = new LogState();
  readonly kernel = new SendKernel(this.ring.memory);
  readonly topics = new TopicTable(`${folder}/queues`, 20 * 300);
  readonly rows = new DigestRows(this);
  #queueOffset = 0;

  constructor() {
    this.topics.intern('a');
  }

  /** As a call of the kernel does: `count` records at the end of the log, and their rows. */
  append(count: number): void {
    const { state, kernel } = this;
    let word = this.rows.next / 4;
    expect((this.rows.end - this.rows.next) / 4).toBeGreaterThan(count * 12);
    const from = state.end;
    for (let i = 0; i < count; i++) {
      const digest = Object.assign(new RecordDigest(), {
        size: SIZE,
        queueOffset: this.#queueOffset,
      });
      digest.addKey(state.end);
      writeRow(kernel.ints, word, digest, 0);
      word += rowLength(kernel.ints, word);
      this.record(this.#queueOffset++);
    }
    this.rows.added(from, word * 4);
  }

  /** A record without a row. */
  record(queueOffset: number): void {
    const at = this.ring.at(this.state.end);
    this.ring.view.setInt32(at, SIZE);
    this.ring.view.setInt32(at + 24, queueOffset);
    this.ring.view.setInt32(at + 32, this.state.end);
    this.state.end += SIZE;
  }

  lend(): RowRun | undefined {
    return this.rows.of(this.state.dispatched, this.ring.at(this.state.dispatched));
  }

  /** Enters `count` records of what was lent. @returns their keys: the offsets they were made with */
  enter(run: RowRun, count: number): number[] {
    const keys: number[] = [];
    for (let i = 0; i < count && run.at < run.end; i++) {
      keys.push(run.words[run.at + 11]!);
      this.state.dispatched += run.words[run.at]!;
      run.at += rowLength(run.words, run.at);
    }
    this.rows.taken();
    return keys;
  }
}

test('runs come in order, in parts when only a part is entered', () => {
  world.append(3);
  world.append(2);
  expect(world.enter(world.lend()!, 2)).toEqual([0, 100]);
  expect(world.enter(world.lend()!, 9)).toEqual([200]);
  expect(world.enter(world.lend()!, 9)).toEqual([300, 400]);
  expect(world.lend()).toBeUndefined();
});

test('a run is entered no further than what is written, be it in the middle of a record', () => {
  world.append(4);
  const { state, topics, rows } = world;
  const dispatcher = new Dispatcher(topics, state, {
    delays: new DelayLevels('1s'),
    index: undefined,
  });
  for (const written of [0, SIZE - 1, 2 * SIZE, 3 * SIZE - 1, 4 * SIZE]) {
    state.written = written;
    const run = world.lend()!;
    dispatcher.enterRun(run);
    rows.taken();
    expect(state.dispatched).toBe(written - (written % SIZE));
  }
  expect(topics.byId[0]?.queues[0]?.max).toBe(4);
});

test('records without rows between two runs', () => {
  world.append(1);
  world.record(77);
  world.append(1);
  world.enter(world.lend()!, 1);
  expect(world.lend()).toBeUndefined();
  world.state.dispatched += SIZE;
  expect(world.enter(world.lend()!, 1)).toEqual([200]);
});

test('rows of records that were dispatched another way are passed over', () => {
  world.append(4);
  world.append(2);
  world.state.dispatched += 2 * SIZE;
  expect(world.enter(world.lend()!, 1)).toEqual([200]);
  world.state.dispatched += 2 * SIZE;
  expect(world.enter(world.lend()!, 9)).toEqual([500]);
});

test.each([0, 24, 32])('another record in its place: no row (byte %i)', (byte) => {
  world.append(2);
  world.ring.view.setInt32(byte, world.ring.view.getInt32(byte) + 1);
  expect(world.lend()).toBeUndefined();
});

test('a cut forgets them all, also for a record that equals the one before', () => {
  world.append(3);
  world.enter(world.lend()!, 1);
  world.state.giveUp(SIZE);
  world.record(1);
  expect(world.lend()).toBeUndefined();
  world.state.dispatched += SIZE;
  world.append(1);
  expect(world.enter(world.lend()!, 9)).toEqual([200]);
});

test('those in wait move to the front when the room gets short', () => {
  const perRun = Math.floor(sendLayout.ROWS_BYTES / 4 / 12 / 16);
  const expected: number[] = [];
  const seen: number[] = [];
  for (let round = 0; round < 60; round++) {
    // Six runs wait, the first of them half entered.
    const half = round >= 6 ? Math.floor(perRun / 2) : 0;
    if (half > 0) seen.push(...world.enter(world.lend()!, half));
    for (let i = 0; i < perRun; i++) expected.push(world.state.end + i * SIZE);
    world.append(perRun);
    if (half === 0) continue;
    const rest = world.enter(world.lend()!, Number.POSITIVE_INFINITY);
    expect(rest.length).toBe(perRun - half);
    seen.push(...rest);
  }
  for (let run = world.lend(); run !== undefined; run = world.lend()) {
    seen.push(...world.enter(run, perRun));
  }
  expect(seen).toEqual(expected);
});
