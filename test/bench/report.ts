// What every bench hands back: figures with all their rounds, judged against floor and aim, and the facts
// about the machine and the commit that make them comparable. Ratios of one run are judged; absolute
// values are only shown, because the machine may be shared.
import { execFileSync } from 'node:child_process';
import * as os from 'node:os';
import { renderTable } from '../../cli/output.ts';

export interface Goal {
  floor: number;
  aim?: number;
  /** Default: a larger value is better. */
  isLess?: boolean;
}

/** One measured thing: a value per round. */
export interface Figure {
  name: string;
  unit: string;
  values: number[];
  goal?: Goal;
  /** Which of the values is judged; the median unless told. */
  judged?: 'median' | 'p95' | 'max';
}

export interface BenchResult {
  figures: Figure[];
  /** Facts that are no figures: sizes, cases, every single run. */
  details?: Record<string, unknown>;
}

export interface BenchOptions {
  rounds: number | undefined;
  /** Cuts cases and data to what shows that the bench itself works; its figures judge nothing. */
  isQuick: boolean;
  /** Work folder of the run, removed at its end. */
  folder: string;
  say(line: string): void;
}

export type Bench = (options: BenchOptions) => Promise<BenchResult>;

export const sorted = (values: number[]): number[] => [...values].sort((a, b) => a - b);

/** The value that a share of all values does not exceed. */
export function quantile(values: number[], share: number): number {
  const rank = Math.max(1, Math.ceil(values.length * share));
  return sorted(values)[rank - 1] ?? Number.NaN;
}

export function median(values: number[]): number {
  const ranked = sorted(values);
  const middle = ranked.length >> 1;
  const upper = ranked[middle] ?? Number.NaN;
  return ranked.length % 2 === 1 ? upper : ((ranked[middle - 1] ?? Number.NaN) + upper) / 2;
}

type Verdict = 'aim' | 'floor' | 'missed' | '-';

export function verdictOf(figure: Figure): Verdict {
  const { goal } = figure;
  if (goal === undefined) return '-';
  const value = judgedValue(figure);
  const reaches = (mark: number) => (goal.isLess === true ? value <= mark : value >= mark);
  if (!reaches(goal.floor)) return 'missed';
  return goal.aim === undefined || reaches(goal.aim) ? 'aim' : 'floor';
}

function judgedValue({ values, judged = 'median' }: Figure): number {
  if (judged === 'median') return median(values);
  return judged === 'p95' ? quantile(values, 0.95) : quantile(values, 1);
}

const rounded = (value: number): number => Number(value.toPrecision(4));

function figureJson(figure: Figure): Record<string, unknown> {
  const { name, unit, values, goal, judged = 'median' } = figure;
  return {
    name,
    unit,
    rounds: values.length,
    min: rounded(quantile(values, 0)),
    median: rounded(median(values)),
    max: rounded(quantile(values, 1)),
    ...(judged === 'p95' ? { p95: rounded(quantile(values, 0.95)) } : {}),
    ...(goal ? { ...goal, judged, verdict: verdictOf(figure) } : {}),
    values: values.map(rounded),
  };
}

export function machineFacts(): Record<string, unknown> {
  const cpus = os.cpus();
  return {
    cores: cpus.length,
    cpu: cpus[0]?.model,
    memoryGib: Math.round(os.totalmem() / 2 ** 30),
    kernel: os.release(),
    platform: `${os.platform()} ${os.arch()}`,
    node: process.version,
    loadAverage: os.loadavg().map(rounded),
  };
}

/** The commit of the checkout; `+` behind it when tracked files differ from it. */
export function commitName(): string {
  const git = (...words: string[]) =>
    execFileSync('git', words, { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
  try {
    const commit = git('rev-parse', '--short=12', 'HEAD');
    return git('status', '--porcelain', '--untracked-files=no') === '' ? commit : `${commit}+`;
  } catch {
    // Expected outside a checkout: a packed tree has no history.
    return 'unknown';
  }
}

export interface RunFacts {
  bench: string;
  startedAt: string;
  /** Taken before the first process was started: what others did meanwhile. */
  machine: Record<string, unknown>;
  seconds: number;
}

/** The documented JSON form of one run. */
export function reportJson(facts: RunFacts, result: BenchResult): Record<string, unknown> {
  const isHeld = result.figures.every((figure) => verdictOf(figure) !== 'missed');
  return {
    ...facts,
    commit: commitName(),
    loadAverageAtEnd: os.loadavg().map(rounded),
    isHeld,
    figures: result.figures.map(figureJson),
    ...result.details,
  };
}

/** The figures as a table for people. */
export function reportTable({ figures }: BenchResult): string {
  const head = ['figure', 'unit', 'min', 'median', 'max', 'floor', 'aim', 'verdict'];
  const rows = figures.map((figure) => {
    const { name, unit, values, goal, judged } = figure;
    const shown = judged === 'p95' ? `${unit} (p95 ${rounded(quantile(values, 0.95))})` : unit;
    const range = [quantile(values, 0), median(values), quantile(values, 1)].map(rounded);
    return [name, shown, ...range, goal?.floor ?? '', goal?.aim ?? '', verdictOf(figure)];
  });
  return renderTable(head, rows);
}
