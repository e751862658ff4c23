// The key-value configuration of a name server: namespaces of text values, kept in one JSON file in
// Apache's shape, so that either program reads the other's file. Written durably before a change is
// answered. Only ORDER_TOPIC_CONFIG has a meaning for us: brokers get it with every registration.
// Source: KVConfigManager of Apache, behaviour only.
import * as path from 'node:path';
import { DrError, makeFolder, readTextIfExists, writeAtomicSync } from '../../base/index.ts';

export const ORDER_TOPIC_CONFIG = 'ORDER_TOPIC_CONFIG';

type Table = Map<string, Map<string, string>>;

export class KvConfig {
  readonly #file: string;
  readonly #table: Table;

  private constructor(file: string, table: Table) {
    this.#file = file;
    this.#table = table;
  }

  /** @throws DrError CORRUPT when the file exists and is not a key-value configuration */
  static open(file: string): KvConfig {
    const text = readTextIfExists(file);
    return new KvConfig(file, text === undefined || text === '' ? new Map() : decode(file, text));
  }

  get(namespace: string, key: string): string | undefined {
    return this.#table.get(namespace)?.get(key);
  }

  /** All pairs of a namespace, or undefined when it does not exist. */
  list(namespace: string): Record<string, string> | undefined {
    const pairs = this.#table.get(namespace);
    return pairs && Object.fromEntries(pairs);
  }

  put(namespace: string, key: string, value: string): void {
    const pairs = this.#table.get(namespace) ?? new Map<string, string>();
    pairs.set(key, value);
    this.#table.set(namespace, pairs);
    this.#save();
  }

  delete(namespace: string, key: string): void {
    this.#table.get(namespace)?.delete(key);
    this.#save();
  }

  #save(): void {
    const pairs = [...this.#table].map(([name, values]) => [name, Object.fromEntries(values)]);
    makeFolder(path.dirname(this.#file));
    const text = JSON.stringify({ configTable: Object.fromEntries(pairs) });
    writeAtomicSync(this.#file, text, { keepBackup: true });
  }
}

function decode(file: string, text: string): Table {
  try {
    const { configTable } = JSON.parse(text) as { configTable: Record<string, object> };
    return new Map(
      Object.entries(configTable).map(([namespace, pairs]) => [
        namespace,
        new Map(Object.entries(pairs).map(([key, value]) => [key, String(value)])),
      ]),
    );
  } catch (cause) {
    throw new DrError('CORRUPT', `${file}: not a key-value configuration`, {
      cause,
      hint: `restore ${file}.bak or remove the file`,
    });
  }
}
