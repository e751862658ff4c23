// The reference of dr.yaml, made from the schema and never written by hand: a commented example file
// and the table of docs/configuration.md. Every key shows its meaning, default and bounds.
import { z } from 'zod';
import { drConfigSchema } from './dr-config.ts';

interface Node {
  type?: string;
  description?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  enum?: unknown[];
  const?: unknown;
  properties?: Record<string, Node>;
  required?: string[];
  items?: Node;
  additionalProperties?: Node | boolean;
  anyOf?: Node[];
  oneOf?: Node[];
}

export interface ConfigKey {
  /** Dotted path; `*` stands for a name of your own. */
  path: string;
  meaning: string;
  /** JSON text, or undefined when there is none. */
  defaultText: string | undefined;
  bounds: string;
  isRequired: boolean;
}

const schema = (): Node =>
  z.toJSONSchema(drConfigSchema, { io: 'input', unrepresentable: 'any' }) as Node;

/** Every leaf key of dr.yaml in file order. */
export function configKeys(): ConfigKey[] {
  return leaves(schema(), '');
}

function leaves(node: Node, path: string): ConfigKey[] {
  const branches = node.anyOf ?? node.oneOf;
  if (branches) return branches.flatMap((branch) => leaves(branch, path));
  const any = typeof node.additionalProperties === 'object' ? node.additionalProperties : undefined;
  if (any) return leaves(any, `${path}.*`);
  return Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
    const full = path === '' ? key : `${path}.${key}`;
    const inner = child.properties || child.anyOf || child.oneOf ? leaves(child, full) : [];
    const isMap = typeof child.additionalProperties === 'object';
    if (inner.length > 0) return inner;
    if (isMap && isObject(child.additionalProperties)) return leaves(child, full);
    return [describe(full, child, node.required?.includes(key) === true)];
  });
}

const isObject = (node: Node | boolean | undefined): boolean =>
  typeof node === 'object' && node.properties !== undefined;

function describe(path: string, node: Node, isRequired: boolean): ConfigKey {
  const range = [
    node.minimum === undefined ? '' : `≥ ${node.minimum}`,
    node.maximum === undefined || node.maximum > 1e15 ? '' : `≤ ${node.maximum}`,
  ].filter((part) => part !== '');
  const allowed = node.const === undefined ? node.enum : [node.const];
  return {
    path,
    meaning: node.description ?? '',
    defaultText: node.default === undefined ? undefined : JSON.stringify(node.default),
    bounds: allowed ? allowed.map(String).join(' or ') : range.join(', '),
    isRequired: isRequired && node.default === undefined,
  };
}

/** The table of docs/configuration.md. */
export function configTable(): string {
  const rows = configKeys().map(
    (key) =>
      `| \`${key.path}\` | ${key.defaultText === undefined ? (key.isRequired ? 'required' : '-') : `\`${key.defaultText}\``} ` +
      `| ${key.bounds} | ${key.meaning} |`,
  );
  return ['| Key | Default | Allowed | Meaning |', '|---|---|---|---|', ...rows].join('\n');
}

/** A dr.yaml that loads: required keys filled in, every other key as a comment with its default. */
export function configExample(): string {
  const optional = configKeys()
    .filter((key) => !key.isRequired && key.defaultText !== undefined && !key.path.includes('*'))
    .map((key) => `# ${key.path}: ${key.defaultText}    # ${key.meaning}`);
  return `${REQUIRED_EXAMPLE}
# Optional keys with their defaults (write them as nested YAML):
${optional.join('\n')}
`;
}

const REQUIRED_EXAMPLE = `# dr.yaml of one region; the other region has the same file with its own \`region\`.
region: east
initialActive: east
secretFile: ./dr.secret            # the same content in both regions, 16 bytes or more
regions:
  east:
    nameservers: [10.0.0.1:9876]
    brokers: { broker-a: 10.0.0.1:10911 }
  west:
    nameservers: [10.1.0.1:9876]
    brokers: { broker-a: 10.1.0.1:10911 }
nameserver: { config: ./namesrv.properties }
broker: { config: ./broker.properties }
flips:
  globalNameservers: [10.2.0.1:9876]
  gateways: [10.2.0.2:20900]
controlStore: { kind: sqlite, path: ./control.db }
`;
