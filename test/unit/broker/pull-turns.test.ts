// The line of pulls: short slices behind the sends, waits for the disk, one answer each.
import { describe, expect, test } from 'vitest';
import {
  type PullPass,
  type PullRequest,
  PullTurns,
  type TurnPull,
} from '../../../core-broker/broker/pull/index.ts';
import type { ServerConnection } from '../../../core-broker/remoting/index.ts';

type Answer = (pull: TurnPull, pass: PullPass, mayLoad: boolean) => number | Promise<void>;

function stage(answer: Answer = () => 100, msPerAnswer = 0) {
  const answered: string[] = [];
  const turns: (() => void)[] = [];
  const log = { end: 0 };
  const line = new PullTurns<TurnPull>({
    clock: { nowMs: () => 0, monotonicMs: () => answered.length * msPerAnswer },
    afterWrites: (run) => turns.push(run),
    logEnd: () => log.end,
    answer: (pull, pass, mayLoad) => {
      const given = answer(pull, pass, mayLoad);
      if (typeof given === 'number') answered.push(`${pull.offset} ${pass}`);
      return given;
    },
  });
  /** One turn of the loop; false when none was asked for. */
  const turn = (): boolean => {
    const run = turns.shift();
    run?.();
    return run !== undefined;
  };
  return { line, answered, turns, turn, log };
}

const connection = (unsentBytes = 0) =>
  ({ isOpen: true, output: { unsentBytes } }) as ServerConnection;
const pull = (offset: number, on = connection()): TurnPull => ({
  connection: on,
  request: { topic: 'T', queueId: 0 } as PullRequest,
  offset,
});

/** A promise and its end. */
function loading() {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = async () => {
    resolve();
    await new Promise<void>((go) => setImmediate(go));
  };
  return { promise, done };
}

describe('a slice', () => {
  test('comes behind the writes of its turn, and ends when its time is over', () => {
    const { line, answered, turns, turn } = stage(() => 1, 0.6);
    for (let offset = 0; offset < 5; offset++) line.take(pull(offset));
    expect(answered).toEqual([]);
    expect(turns).toHaveLength(1);
    turn();
    expect(answered).toHaveLength(2);
    turn();
    turn();
    expect(answered).toEqual(['0 first', '1 first', '2 first', '3 first', '4 first']);
    expect(turn()).toBe(false);
  });

  test('ends when its bytes are written, and answers at least one', () => {
    const { line, answered, turn } = stage(() => 600_000);
    for (let offset = 0; offset < 4; offset++) line.take(pull(offset));
    turn();
    expect(answered).toHaveLength(2);
    turn();
    expect(answered).toHaveLength(4);
  });

  test('is shorter while somebody sends', () => {
    const { line, answered, turn, log } = stage(() => 1, 0.2);
    for (let offset = 0; offset < 20; offset++) line.take(pull(offset));
    log.end = 100;
    turn();
    expect(answered).toHaveLength(2);
    turn();
    expect(answered).toHaveLength(7);
    log.end = 200;
    turn();
    expect(answered).toHaveLength(9);
  });

  test('is not asked of a connection that is gone', () => {
    const { line, answered, turn } = stage();
    const gone = connection();
    line.take(pull(1, gone));
    line.take(pull(2));
    (gone as { isOpen: boolean }).isOpen = false;
    turn();
    expect(answered).toEqual(['2 first']);
    expect(line.waiting).toBe(0);
  });
});

test('a connection that sends more than a line holds is answered as it sends', () => {
  const { line, answered, turn } = stage();
  const greedy = connection();
  for (let offset = 0; offset < 1_500; offset++) line.take(pull(offset, greedy));
  expect(line.waiting).toBe(1_024);
  expect(answered).toHaveLength(1_500 - 1_024);
  line.take(pull(7_777));
  expect(line.waiting).toBe(1_025);
  while (turn());
  expect(new Set(answered).size).toBe(1_501);
});

test('a connection that does not take its answers waits, and nobody else does', async () => {
  const { line, answered, turn } = stage();
  const slow = connection(9 * 1024 * 1024);
  line.take(pull(1, slow));
  line.take(pull(2, slow));
  line.take(pull(3));
  turn();
  expect(answered).toEqual(['3 first']);
  expect(line.waiting).toBe(2);
  (slow.output as { unsentBytes: number }).unsentBytes = 0;
  while (answered.length < 3) {
    turn();
    await new Promise((go) => setImmediate(go));
  }
  expect(answered).toEqual(['3 first', '1 first', '2 first']);
  line.take(pull(4, connection(9 * 1024 * 1024)));
  turn();
  line.answerAll();
  expect(answered.at(-1)).toBe('4 last');
  expect(line.waiting).toBe(0);
});

describe('a pull that waits for the disk', () => {
  test('leaves the line to the others and comes back', async () => {
    const disk = loading();
    let isRead = false;
    const { line, answered, turn } = stage(({ offset }) =>
      offset === 1 && !isRead ? disk.promise : 1,
    );
    line.take(pull(1));
    line.take(pull(2));
    turn();
    expect(answered).toEqual(['2 first']);
    expect(line.waiting).toBe(1);
    isRead = true;
    await disk.done();
    turn();
    expect(answered).toEqual(['2 first', '1 first']);
    expect(line.waiting).toBe(0);
  });

  test('is answered in the end, however often its bytes are pushed out again', async () => {
    const { line, answered, turn } = stage((_, __, mayLoad) => (mayLoad ? Promise.resolve() : 1));
    line.take(pull(1));
    let turns = 0;
    while (answered.length === 0) {
      if (turn()) turns++;
      await new Promise((go) => setImmediate(go));
      expect(turns).toBeLessThan(9);
    }
    expect(answered).toEqual(['1 first']);
  });

  test('is forgotten when its connection closes', async () => {
    const disk = loading();
    const { line, answered, turn } = stage(() => disk.promise);
    const gone = connection();
    line.take(pull(1, gone));
    turn();
    (gone as { isOpen: boolean }).isOpen = false;
    await disk.done();
    turn();
    expect(answered).toEqual([]);
    expect(line.waiting).toBe(0);
  });

  test('is answered once when all are answered now, and not again when the disk is done', async () => {
    const disk = loading();
    const { line, answered, turn } = stage((_, __, mayLoad) => (mayLoad ? disk.promise : 1));
    const [mine, other] = [connection(), connection()];
    line.take(pull(1, mine));
    line.take(pull(2, other));
    turn();
    line.take(pull(3, mine));
    line.answerAll(mine);
    expect(answered).toEqual(['3 last', '1 last']);
    line.answerAll();
    expect(answered).toEqual(['3 last', '1 last', '2 last']);
    await disk.done();
    while (turn());
    expect(answered).toHaveLength(3);
    expect(line.waiting).toBe(0);
  });
});
