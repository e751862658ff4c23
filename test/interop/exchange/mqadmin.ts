// One mqadmin command after the other, in one JVM per version and home folder, which ends with this process.
// mqadmin exits 0 for nearly every failure, so its text decides.
import type { ServerVersion } from '../peers/rocketmq.ts';
import { AdminLoop } from './admin-loop.ts';

const loops = new Map<string, Promise<AdminLoop>>();

/**
 * Runs one mqadmin command and gives its text; keys to sign with are read from conf/tools.yml of the folder.
 * @throws Error when the text says that it failed
 */
export async function mqadmin(
  at: { version: ServerVersion; folder: string },
  command: string,
  args: string[],
): Promise<string> {
  const name = `${at.version} ${at.folder}`;
  const opened = loops.get(name) ?? AdminLoop.start(at.version, at.folder);
  loops.set(name, opened);
  const text = await opened.then((loop) => loop.run(command, args));
  if (/SubCommandException|\[error\]|not exist|Exception:/.test(text)) {
    throw new Error(`mqadmin ${command} ${args.join(' ')} failed:\n${text}`);
  }
  return text;
}
