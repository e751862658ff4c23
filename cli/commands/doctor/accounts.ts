// Do both regions know the same accounts? ACL files are not carried by the link, and a standby with other
// accounts locks clients out on the day it is promoted. Asked by code 52, which shows versions and no
// secret: the versions count changes made by request; a file that was edited by hand keeps its number.
import { DrError } from '../../../core-broker/base/index.ts';
import { AdminWire } from '../../../core-broker/client/index.ts';
import { parseJsonObject, RequestCode } from '../../../core-broker/protocol/index.ts';
import type { DrConfig } from '../../config/dr-config.ts';
import { type Finding, finding } from './finding.ts';

/** What one region says: its name, and file -> number of changes, sorted; undefined = ACL is off. */
export interface RegionAccounts {
  region: string;
  files: [file: string, counter: number][] | undefined;
}

/** Nothing to say when a region is silent (its own finding tells) or when nobody uses ACL. */
export async function accountFindings(config: DrConfig, timeoutMs: number): Promise<Finding[]> {
  const wire = new AdminWire({ nameservers: [], timeoutMs });
  const known: RegionAccounts[] = [];
  const found: Finding[] = [];
  try {
    for (const [region, { brokers }] of Object.entries(config.regions)) {
      for (const address of Object.values(brokers)) {
        const seen = await accountsOf(wire, { region, address });
        if (seen === undefined) continue;
        if ('check' in seen) found.push(seen);
        else known.push(seen);
      }
    }
  } finally {
    wire.close();
  }
  return [...found, ...compareAccounts(known)];
}

async function accountsOf(
  wire: AdminWire,
  { region, address }: { region: string; address: string },
): Promise<RegionAccounts | Finding | undefined> {
  try {
    const { ext } = await wire.call(address, RequestCode.GET_BROKER_CLUSTER_ACL_INFO);
    return { region, files: filesIn(ext['allAclFileVersion'] ?? '{}') };
  } catch (reason) {
    const failure = DrError.from(reason);
    if (!DrError.is(failure, 'REMOTE')) return undefined;
    const { message } = failure;
    // Why: a refused key and ACL that is off are both code 1; only the former names its exception.
    if (!message.includes('AclException')) return { region, files: undefined };
    const advice = 'give credentialsFile in dr.yaml keys this region knows, and see that it runs';
    return finding('access', `accounts of ${region}`, ['warn', `not told: ${message}`, advice]);
  }
}

function filesIn(text: string): [string, number][] {
  const files = Object.entries(parseJsonObject(text) as Record<string, { counter?: unknown }>);
  const rows = files.map(([file, version]): [string, number] => [
    file.split('/').at(-1) ?? file,
    Number(version.counter ?? 0),
  ]);
  return rows.sort(([left], [right]) => (left < right ? -1 : 1));
}

export function compareAccounts(known: RegionAccounts[]): Finding[] {
  const [first, ...others] = known;
  if (first === undefined || others.length === 0) return [];
  if (known.every(({ files }) => files === undefined)) return [];
  const check = 'the same accounts in both regions';
  const told = known.map(({ region, files }) => `${region}: ${wordsOf(files)}`).join('; ');
  const isSame = others.every(({ files }) => wordsOf(files) === wordsOf(first.files));
  if (isSame) return [finding('access', check, ['ok', wordsOf(first.files)])];
  const isOff = known.some(({ files }) => files === undefined);
  const advice = isOff
    ? 'set aclEnable alike in both regions: the open one lets everybody in, the other one nobody new'
    : 'copy the ACL files of the active region to the other one; the link does not carry them';
  return [finding('access', check, [isOff ? 'bad' : 'warn', told, advice])];
}

const wordsOf = (files: RegionAccounts['files']): string =>
  files === undefined
    ? 'ACL is off'
    : files.map(([file, counter]) => `${file} changed ${counter} times`).join(', ');
