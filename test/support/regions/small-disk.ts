// A disk of a few MiB for one process and its children: a tmpfs inside an own user and mount namespace,
// which needs no root where the kernel allows user namespaces, and no clean-up. Other processes do not
// see what is in it; the process itself must be asked.
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';

/** Shell words that run `program` with `folder` on a disk of `size` (tmpfs notation). */
export function onSmallDisk(folder: string, size: string, program: string[]): string[] {
  fs.mkdirSync(folder, { recursive: true });
  const script = 'mount -t tmpfs -o "size=$1" none "$2" && shift 2 && exec "$@"';
  return [
    'unshare',
    '-rm',
    '--propagation',
    'private',
    'sh',
    '-c',
    script,
    'sh',
    size,
    folder,
  ].concat(program);
}

/** Why this machine cannot do it; undefined = it can. */
export function smallDiskProblem(folder: string): string | undefined {
  const [program = '', ...args] = onSmallDisk(folder, '1m', ['true']);
  const tried = spawnSync(program, args, { encoding: 'utf8' });
  return tried.status === 0 ? undefined : `${tried.error ?? tried.stderr}`;
}
