// The Go that builds peers: the one on the PATH when it is new enough, else a newer one that the one on
// the PATH fetches and checks as it does with every module (Debian's is older than the sources ask for;
// from 1.21 on Go does this by itself).
import { execFile } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const MINOR_MIN = 21;
const NEWER = 'golang.org/toolchain@v0.0.1-go1.25.5';
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

/** Path or name of a `go` that understands toolchain lines. @throws Error when none can be had */
export async function goProgram(env: NodeJS.ProcessEnv): Promise<string> {
  const { stdout: version } = await run('go', ['env', 'GOVERSION'], { env });
  const [, minor = '0'] = /^go1\.(\d+)/.exec(version) ?? [];
  if (Number(minor) >= MINOR_MIN) return 'go';
  const architecture = ARCHITECTURES[process.arch] ?? process.arch;
  const module = `${NEWER}.${process.platform}-${architecture}`;
  process.stderr.write(`${version.trim()} is too old, fetching ${module} ...\n`);
  const { stdout } = await run('go', ['mod', 'download', '-json', module], { env });
  const folder = (JSON.parse(stdout) as { Dir: string }).Dir;
  makeRunnable(path.join(folder, 'bin'));
  makeRunnable(path.join(folder, 'pkg/tool'));
  return path.join(folder, 'bin/go');
}

/** Archives of modules carry no modes; the module cache is read-only besides. */
function makeRunnable(folder: string): void {
  for (const entry of fs.readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) fs.chmodSync(path.join(entry.parentPath, entry.name), 0o755);
  }
}
