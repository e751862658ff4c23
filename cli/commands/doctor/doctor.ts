// dr doctor: everything that commonly keeps a region from starting or from switching, looked at in one go.
// Exit 0 when nothing is bad, 4 when something is; warnings alone do not fail.
import { readEnv } from '../../../core-broker/base/index.ts';
import { type CommandInput, textOf } from '../../command.ts';
import { becomeIdentity } from '../../config/identity.ts';
import { EXIT } from '../../exit-status.ts';
import { formatOf, printAnswer } from '../../output.ts';
import { nameserversOf } from '../admin/call.ts';
import { accountFindings } from './accounts.ts';
import { planOf } from './files.ts';
import type { Finding } from './finding.ts';
import { clockFindings, diskFindings, limitFindings, portFindings } from './machine.ts';
import { peerFindings, regionFindings } from './peers.ts';

export async function runDoctor(input: CommandInput): Promise<number> {
  const plan = planOf(textOf(input.options['config']) ?? readEnv('DR_CONFIG'));
  becomeIdentity(plan.dr, plan.identity);
  const timeoutMs = Number(input.options['timeout'] ?? 2_000);
  const given = nameserversOf(textOf(input.options['namesrvAddr']));
  const nameservers = [...new Set([...given, ...plan.nameservers])];
  const findings: Finding[] = [
    ...plan.findings,
    ...(await portFindings(plan.ports, new Set(plan.files))),
    ...limitFindings(),
    ...[...new Set(plan.folders)].flatMap((folder) => diskFindings(folder)),
    ...(await clockFindings()),
    ...(await peerFindings(nameservers, timeoutMs)),
    ...(plan.dr ? await regionFindings(plan.dr, timeoutMs) : []),
    ...(plan.dr ? await accountFindings(plan.dr, timeoutMs) : []),
  ];
  const count = (state: string) => findings.filter((row) => row.state === state).length;
  const counts = { ok: count('ok'), warn: count('warn'), bad: count('bad') };
  const advice = findings
    .filter((row) => row.advice !== '')
    .map((row) => `${row.state}: ${row.check}: ${row.seen}\n    ${row.advice}`);
  printAnswer(formatOf(input), {
    json: { isHealthy: counts.bad === 0, counts, findings },
    head: ['Area', 'Check', 'State', 'Seen'],
    rows: findings.map((row) => [row.area, row.check, row.state, row.seen]),
    text: [...advice, `${counts.ok} ok, ${counts.warn} warnings, ${counts.bad} bad`].join('\n'),
  });
  return counts.bad === 0 ? EXIT.DONE : EXIT.REFUSED;
}
