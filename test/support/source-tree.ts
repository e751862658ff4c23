// What the structure tests read: every source file of the project with its text and its imports.
import * as fs from 'node:fs';
import * as path from 'node:path';

export const ROOT = path.resolve(import.meta.dirname, '../..');
export const PRODUCT_FOLDERS = ['core-broker', 'replicator', 'switchover', 'backup', 'cli'];

export interface SourceFile {
  /** Path from the repository root, with forward slashes. */
  path: string;
  text: string;
  /** Project files this one imports (paths from the root) and packages by name. */
  imports: string[];
}

/** Every .ts file below the given folders, sorted by path. */
export function sourceFiles(folders: string[] = PRODUCT_FOLDERS): SourceFile[] {
  return folders.flatMap((folder) =>
    fs
      .readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
      .map((name) => readSource(path.posix.join(folder, name.split(path.sep).join('/'))))
      .sort((a, b) => a.path.localeCompare(b.path)),
  );
}

function readSource(file: string): SourceFile {
  const text = fs.readFileSync(path.join(ROOT, file), 'utf8');
  const found = text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g);
  const imports = [...found].map(([, target = '']) =>
    target.startsWith('.') ? path.posix.normalize(path.posix.join(file, '..', target)) : target,
  );
  return { path: file, text, imports };
}
