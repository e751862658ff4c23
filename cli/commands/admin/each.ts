// One question to every chosen broker: what each answered, and a line for each that did not. When no
// broker answered at all, the first failure is the failure of the command.
import { DrError } from '../../../core-broker/base/index.ts';
import type { AdminCall } from './call.ts';

export interface EachResult<T> {
  results: { address: string; brokerName: string; value: T }[];
  problems: string[];
}

export async function eachBroker<T>(
  call: AdminCall,
  ask: (address: string) => Promise<T>,
): Promise<EachResult<T>> {
  const results: EachResult<T>['results'] = [];
  const problems: string[] = [];
  let first: unknown;
  for (const { address, brokerName } of await call.places()) {
    try {
      results.push({ address, brokerName, value: await ask(address) });
    } catch (reason) {
      first ??= reason;
      problems.push(`${address}: ${DrError.from(reason).message}`);
    }
  }
  if (results.length === 0 && first !== undefined) throw first;
  return { results, problems };
}
