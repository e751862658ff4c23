// Obtains the real programs the interop tests run against, into .work/peers. Each peer is built in its
// own folder and marked ready with a digest of its recipe and sources, so that a second run does nothing
// and a changed recipe is run again. One process builds a peer, others wait for it; downloads are tried
// again. Missing system packages are installed where this process may do that (root, apt-get);
// otherwise the error says what is missing and how to get it. Nothing is skipped.
//   node test/interop/peers/install.ts [PEER ...]
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { goProgram } from './go-toolchain.ts';
import { underLock } from './lock.ts';
import {
  ALL_TOOLS,
  isMore,
  MORE_JARS,
  MORE_PEERS,
  type MorePeer,
  moreToolsOf,
  PYTHON_CLIENT,
} from './more-recipes.ts';
import {
  JAR_SETS,
  type JarSet,
  PEER_NAMES,
  pomOf,
  toolsOf,
  type PeerName as UsualPeer,
  VERSITYGW,
} from './recipes.ts';

type PeerName = UsualPeer | MorePeer;
type ToolName = keyof typeof ALL_TOOLS;
const JARS = { ...JAR_SETS, ...MORE_JARS };
type JarSetName = keyof typeof JARS;

const run = promisify(execFile);
const ROOT = path.resolve(import.meta.dirname, '../../..');
const CLIENTS = path.join(ROOT, 'test/interop/clients');
const CACHE = path.join(ROOT, '.work/peers');
const RECIPES = path.join(import.meta.dirname, 'recipes.ts');
const MORE_RECIPES = path.join(import.meta.dirname, 'more-recipes.ts');
const STEP_TIMEOUT_MS = 600_000;
/** Pauses before a failed download is tried again: registries hiccup. */
const RETRY_PAUSES_MS = [2_000, 8_000, 20_000];

/** Folder of one peer; complete once ensurePeers() has resolved with its name. */
export const peerFolder = (peer: PeerName): string => path.join(CACHE, peer);
export const jarsOf = (set: JarSetName): string => path.join(peerFolder(set), 'lib', '*');
export const pythonLibrary = (): string => path.join(peerFolder('python-client'), 'lib');
export const versitygwProgram = (): string => path.join(peerFolder('versitygw'), 'versitygw');
export const goClientProgram = (): string => path.join(peerFolder('go-client'), 'dr-client');

/**
 * Makes the named peers ready to run, one after the other.
 * @throws Error that names everything missing and how to get it, or the failed step with its output
 */
export async function ensurePeers(...peers: PeerName[]): Promise<void> {
  fs.mkdirSync(CACHE, { recursive: true });
  const tools = [
    ...new Set(peers.flatMap((peer) => (isMore(peer) ? moreToolsOf(peer) : toolsOf(peer)))),
  ];
  const missing = await underLock(path.join(CACHE, 'tools'), () => ensureTools(tools));
  if (missing.length > 0) throw new Error(missing.join('\n'));
  for (const peer of peers) await ensurePeer(peer);
}

function isOnPath(command: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(':');
  return folders.some((folder) => fs.existsSync(path.join(folder, command)));
}

/** @returns what is still missing, one sentence each */
async function ensureTools(names: ToolName[]): Promise<string[]> {
  const lacking = () => names.filter((name) => !isOnPath(ALL_TOOLS[name].command));
  const packages = [...new Set(lacking().map((name) => ALL_TOOLS[name].aptPackage))];
  if (packages.length > 0 && process.getuid?.() === 0 && isOnPath('apt-get')) {
    process.stderr.write(`installing ${packages.join(' ')} ...\n`);
    const quiet = ['-qq', '-o', 'Acquire::Retries=3'];
    const install = ['install', '-y', '--no-install-recommends', ...quiet, ...packages];
    const environment = { DEBIAN_FRONTEND: 'noninteractive' };
    // What is missing after that is told below, in our words.
    const noteProblem = (reason: Error) => process.stderr.write(`${reason.message}\n`);
    await step('apt-get', ['update', ...quiet], CACHE, environment).catch(noteProblem);
    await step('apt-get', install, CACHE, environment).catch(noteProblem);
  }
  return lacking().map((name) => {
    const { command, aptPackage } = ALL_TOOLS[name];
    return `${command} is missing: install it (Debian: apt-get install ${aptPackage})`;
  });
}

const underWay = new Map<PeerName, Promise<void>>();

/** One build per peer: of this process, and by the lock of this machine. */
function ensurePeer(peer: PeerName): Promise<void> {
  const prepare = async () => {
    if (isReady(peer)) return;
    if (peer.startsWith('java-client')) await ensurePeer(clientJars(peer));
    await underLock(peerFolder(peer), () => preparePeer(peer));
  };
  const running = underWay.get(peer) ?? prepare().finally(() => underWay.delete(peer));
  underWay.set(peer, running);
  return running;
}

function isReady(peer: PeerName): boolean {
  const mark = path.join(peerFolder(peer), '.ready');
  return fs.existsSync(mark) && fs.readFileSync(mark, 'utf8') === digestOf(peer);
}

async function preparePeer(peer: PeerName): Promise<void> {
  if (isReady(peer)) return;
  const folder = peerFolder(peer);
  const digest = digestOf(peer);
  process.stderr.write(`preparing ${peer} ...\n`);
  const draft = `${folder}.draft`;
  fs.rmSync(draft, { recursive: true, force: true });
  fs.mkdirSync(draft, { recursive: true });
  try {
    await build(peer, draft);
  } catch (reason) {
    const { stdout = '', stderr = '' } = reason as { stdout?: string; stderr?: string };
    const output = `${stdout}${stderr}`.trim().split('\n').slice(-20).join('\n');
    throw new Error(`${peer} could not be prepared: ${reason}\n${output}`, { cause: reason });
  }
  fs.writeFileSync(path.join(draft, '.ready'), digest);
  fs.rmSync(folder, { recursive: true, force: true });
  fs.renameSync(draft, folder);
}

/** Changes whenever the recipe or a source file of the peer does. */
function digestOf(peer: PeerName): string {
  const hash = createHash('sha256').update(fs.readFileSync(isMore(peer) ? MORE_RECIPES : RECIPES));
  const source = sourceOf(peer);
  for (const name of source ? fs.readdirSync(source).sort() : []) {
    hash.update(name).update(fs.readFileSync(path.join(source ?? '', name)));
  }
  return hash.digest('hex');
}

function sourceOf(peer: PeerName): string | undefined {
  if (peer.startsWith('java-client')) return path.join(CLIENTS, 'java');
  if (peer === 'go-client') return path.join(CLIENTS, 'go');
  return peer === 'ali-ons' ? path.join(CLIENTS, 'ali-ons') : undefined;
}

const clientJars = (peer: PeerName): JarSetName =>
  peer === 'java-client-4.9.8' ? 'client-4.9.8' : 'client-5.5.0';

async function build(peer: PeerName, folder: string): Promise<void> {
  if (Object.hasOwn(JARS, peer)) return fetchJars(peer as JarSetName, folder);
  if (peer === 'java-client-5.5.0' || peer === 'java-client-4.9.8') {
    const source = path.join(CLIENTS, 'java/DrClient.java');
    return step('javac', ['-cp', jarsOf(clientJars(peer)), '-d', folder, source], folder);
  }
  if (peer === 'go-client') {
    const source = path.join(CLIENTS, 'go');
    return goStep(['build', '-o', path.join(folder, 'dr-client'), '.'], source);
  }
  if (peer === 'versitygw') {
    return goStep(['install', VERSITYGW], folder, { GOBIN: folder });
  }
  if (peer === 'ali-ons') {
    fs.cpSync(path.join(CLIENTS, 'ali-ons'), folder, { recursive: true });
    return step('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], folder);
  }
  if (peer === 'python-client') {
    fs.writeFileSync(path.join(folder, 'requirements.txt'), PYTHON_CLIENT);
    const how = ['--no-deps', '--require-hashes', '--only-binary', ':all:', '--target', 'lib'];
    return step('pip3', ['install', '--quiet', ...how, '-r', 'requirements.txt'], folder);
  }
  // redis comes with its tool.
}

function fetchJars(set: JarSetName, folder: string): Promise<void> {
  fs.writeFileSync(path.join(folder, 'pom.xml'), pomOf(JARS[set] as JarSet));
  const copy = ['dependency:copy-dependencies', '-DoutputDirectory=lib', '-DincludeScope=runtime'];
  return step('mvn', ['-q', '-B', ...copy], folder);
}

async function goStep(args: string[], cwd: string, environment: Record<string, string> = {}) {
  const go = await retried(() => goProgram(environmentOf({})));
  return step(go, args, cwd, environment);
}

/** Runs one command. */
async function step(
  command: string,
  args: string[],
  cwd: string,
  environment: Record<string, string> = {},
): Promise<void> {
  const env = environmentOf(environment);
  const options = { cwd, env, timeout: STEP_TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 };
  await retried(() => run(command, args, options));
}

/** A failure may be the network's, so the work is tried again. */
async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (const pauseMs of RETRY_PAUSES_MS) {
    try {
      return await work();
    } catch (reason) {
      const why = reason instanceof Error ? reason.message.split('\n')[0] : String(reason);
      process.stderr.write(`${why}; trying again\n`);
      await delay(pauseMs);
    }
  }
  return work();
}

/** go, npm and mvn keep what they fetched below HOME: without a usable one they get ours. */
function environmentOf(more: Record<string, string>): NodeJS.ProcessEnv {
  const environment = { ...process.env, ...more };
  const home = environment['HOME'];
  if (home !== undefined && isWritable(home)) return environment;
  const own = path.join(CACHE, 'home');
  fs.mkdirSync(own, { recursive: true });
  return { ...environment, HOME: own };
}

function isWritable(folder: string): boolean {
  try {
    fs.accessSync(folder, fs.constants.W_OK);
    return fs.statSync(folder).isDirectory();
  } catch {
    // Expected where HOME names a folder that does not exist.
    return false;
  }
}

async function main(args: string[]): Promise<void> {
  const names: PeerName[] = [...PEER_NAMES, ...MORE_PEERS];
  const unknown = args.filter((arg) => !names.includes(arg as PeerName));
  if (unknown.length > 0) {
    process.stderr.write(`unknown: ${unknown.join(' ')}; known: ${names.join(' ')}\n`);
    process.exitCode = 2;
    return;
  }
  const wanted = args.length > 0 ? (args as PeerName[]) : names;
  await ensurePeers(...wanted);
  for (const peer of wanted) process.stdout.write(`${peer} ready in ${peerFolder(peer)}\n`);
}

if (process.argv[1] === import.meta.filename) {
  main(process.argv.slice(2)).catch((reason: unknown) => {
    process.stderr.write(`${reason instanceof Error ? reason.message : reason}\n`);
    process.exitCode = 1;
  });
}
