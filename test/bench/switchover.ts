import type { BenchOptions, BenchResult } from './report.ts';
export async function switchoverBench(_options: BenchOptions): Promise<BenchResult> {
  throw new Error('not here');
}
