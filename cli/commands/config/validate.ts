// dr config validate FILE: says everything that is wrong with a file before a process meets it at 3 am.
import type { CommandInput } from '../../command.ts';
import { EXIT } from '../../exit-status.ts';
import { formatOf, printAnswer } from '../../output.ts';
import { findingsOf, type Kind, kindOf } from './kinds.ts';

/** Exit 0, or 2 with every problem as file:line; warnings name what will not be honoured. */
export function runValidate(input: CommandInput): Promise<number> {
  const [file = ''] = input.args;
  const kind = (input.options['kind'] as Kind | undefined) ?? kindOf(file);
  const { problems, warnings } = findingsOf(file, kind);
  const isValid = problems.length === 0;
  const lines = problems.flatMap(({ message, hint }) =>
    hint === undefined ? [message] : [message, `    ${hint}`],
  );
  const verdict = isValid
    ? `${file}: a valid ${kind} configuration`
    : `${file}: not a valid ${kind} configuration`;
  printAnswer(formatOf(input), {
    json: { file, kind, valid: isValid, problems, warnings },
    text: [verdict, ...lines, ...warnings].join('\n'),
  });
  return Promise.resolve(isValid ? EXIT.DONE : EXIT.USAGE);
}
