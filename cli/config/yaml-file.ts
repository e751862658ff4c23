// Reads a YAML file against a zod schema; every complaint carries file:line:column, the key, what is
// allowed and the nearest known key. Unknown keys are errors.
import { isCollection, isNode, LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { configError, DrError, nearestKey, readConfigText } from '../../core-broker/base/index.ts';

type Path = readonly PropertyKey[];
type Yaml = ReturnType<typeof parseDocument>;

/**
 * Loads and checks one YAML file.
 * @throws DrError CONFIG with the first complaint in the message and all of them in context.problems
 */
export function loadYamlFile<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
): z.output<Schema> {
  if (path.endsWith('.properties')) {
    throw new DrError('CONFIG', `${path}: a YAML file is expected here, not .properties`, {
      hint: 'this command reads dr.yaml, which names the .properties files of its servers',
    });
  }
  const text = readConfigText(path, 'utf8');
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const syntax = document.errors[0];
  if (syntax) {
    const at = counter.linePos(syntax.pos[0]);
    throw configError({ path, line: at.line, column: at.col }, syntax.message);
  }
  const parsed = schema.safeParse(document.toJS());
  if (parsed.success) return parsed.data;
  const known = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  const problems = parsed.error.issues.flatMap((issue) =>
    describe(issue, known, document).map(({ keys, text, hint }) => {
      const at = positionOf(document, counter, keys);
      return configError({ path, ...at }, text, hint);
    }),
  );
  const first = problems[0] ?? configError({ path }, 'not valid');
  const rest = problems.slice(1).map((problem) => problem.message);
  const message = [first.message, ...rest].join('\n    ');
  throw new DrError('CONFIG', message, {
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    context: { problems: problems.map((problem) => problem.message) },
  });
}

interface Complaint {
  keys: Path;
  text: string;
  hint?: string;
}

/** One zod issue as complaints that name the key and what is allowed. */
function describe(issue: z.core.$ZodIssue, known: JsonSchema, document: Yaml): Complaint[] {
  const name = issue.path.map(String).join('.');
  const isMissing = () => issue.path.length > 0 && !document.hasIn(issue.path);
  if (issue.code !== 'unrecognized_keys') {
    const text = isMissing() ? 'is required' : issue.message;
    return [{ keys: issue.path, text: name === '' ? issue.message : `${name}: ${text}` }];
  }
  const siblings = knownKeysAt(known, issue.path);
  return issue.keys.map((key) => {
    const full = [...issue.path, key];
    const nearest = nearestKey(key, siblings);
    return {
      keys: full,
      text: `unknown key ${full.map(String).join('.')}`,
      ...(nearest === undefined ? {} : { hint: `Did you mean ${nearest}?` }),
    };
  });
}

/** Keys that the schema knows at one place, through records, arrays and unions. */
function knownKeysAt(schema: JsonSchema, keys: Path): string[] {
  const [first, ...rest] = keys;
  const branches = schema.anyOf ?? schema.oneOf;
  if (branches) return branches.flatMap((branch) => knownKeysAt(branch, keys));
  if (first === undefined) return Object.keys(schema.properties ?? {});
  const inner =
    schema.properties?.[String(first)] ?? schema.items ?? asSchema(schema.additionalProperties);
  return inner ? knownKeysAt(inner, rest) : [];
}

interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
}

const asSchema = (value: JsonSchema | boolean | undefined): JsonSchema | undefined =>
  typeof value === 'object' ? value : undefined;

/** Position of the key (or of its nearest existing parent) in the text. */
function positionOf(
  document: Yaml,
  counter: LineCounter,
  keys: Path,
): { line?: number; column?: number } {
  for (let length = keys.length; length > 0; length--) {
    const parent =
      length === 1 ? document.contents : document.getIn(keys.slice(0, length - 1), true);
    if (!isCollection(parent)) continue;
    const wanted = String(keys[length - 1]);
    const pair = parent.items.find(
      (item) => 'key' in (item as object) && String((item as { key: unknown }).key) === wanted,
    ) as { key: unknown } | undefined;
    const offset = isNode(pair?.key) ? pair.key.range?.[0] : undefined;
    if (offset === undefined) continue;
    const at = counter.linePos(offset);
    return { line: at.line, column: at.col };
  }
  return { line: 1, column: 1 };
}
