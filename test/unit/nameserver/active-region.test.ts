// The durable register of the active region: only a higher epoch, also over restarts.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ActiveRegionRegister } from '../../../core-broker/base/index.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-region-'));
  file = path.join(folder, 'state');
});
afterEach(() => fs.rmSync(folder, { recursive: true }));

const open = () => ActiveRegionRegister.open(file, 'east');
const flip = (region: string, epoch: number) => ({ region, epoch, opId: `op-${epoch}` });

describe('active region', () => {
  test('starts with the initial region and takes a higher epoch', () => {
    const register = open();
    expect(register.current).toMatchObject({ region: 'east', epoch: 0 });
    expect(register.propose(flip('west', 2))).toBe('flipped');
    expect(open().current).toEqual(flip('west', 2));
  });

  test('repeats the same flip, refuses an old one and another region at the same epoch', () => {
    const register = open();
    register.propose(flip('west', 5));
    expect(register.propose(flip('west', 5))).toBe('repeated');
    expect(register.propose(flip('east', 5))).toBe('conflict');
    expect(register.propose(flip('east', 4))).toBe('stale');
    expect(register.current.region).toBe('west');
  });

  test('nothing is in force when the write fails', () => {
    const register = open();
    fs.mkdirSync(`${file}.tmp`);
    expect(() => register.propose(flip('west', 3))).toThrow();
    expect(register.current.epoch).toBe(0);
  });

  test('a damaged or edited file stops the start', () => {
    open().propose(flip('west', 3));
    const text = fs.readFileSync(file, 'utf8');
    fs.writeFileSync(file, text.replace('"epoch":3', '"epoch":1'));
    expect(open).toThrow(/damaged/);
    fs.writeFileSync(file, text.slice(0, 20));
    expect(open).toThrow(/damaged/);
  });

  test('the epoch never goes back, whatever is proposed and whenever it restarts', () => {
    const step = fc.record({
      region: fc.constantFrom('east', 'west'),
      epoch: fc.integer({ min: 0, max: 6 }),
      restart: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        fs.rmSync(file, { force: true });
        let register = open();
        let before = register.current;
        for (const { region, epoch, restart } of steps) {
          register.propose(flip(region, epoch));
          if (restart) register = open();
          const now = register.current;
          expect(now.epoch).toBeGreaterThanOrEqual(before.epoch);
          if (now.epoch === before.epoch) expect(now.region).toBe(before.region);
          before = now;
        }
      }),
      { numRuns: 60 },
    );
  });
});
