// Programs that one file of tests runs beside the usual clients: older Java clients, and the Python package
// that carries Apache's C++ client. A file of its own, as every peer is built anew when its recipes change.
import { type JarSet, TOOLS, type Tool } from './recipes.ts';

const client = (version: string): JarSet => ({
  groupId: 'org.apache.rocketmq',
  artifacts: ['rocketmq-client'],
  version,
});

export const MORE_JARS = {
  'client-4.2.0': client('4.2.0'),
  'client-4.7.1': client('4.7.1'),
  'client-5.1.4': client('5.1.4'),
} as const satisfies Record<string, JarSet>;

/** Its wheel for Linux on x86-64 holds librocketmq.so; pip compares the checksum. */
export const PYTHON_CLIENT =
  'rocketmq==0.4.4 --hash=sha256:19a10219f5074d1050e88cdbdfed3903a374b3f83c0dd2c8773e1e93e33ad02d\n';

export const MORE_PEERS = [
  ...(Object.keys(MORE_JARS) as (keyof typeof MORE_JARS)[]),
  'python-client',
] as const;

export type MorePeer = (typeof MORE_PEERS)[number];

export const ALL_TOOLS = {
  ...TOOLS,
  python: { command: 'python3', aptPackage: 'python3' },
  pip: { command: 'pip3', aptPackage: 'python3-pip' },
} as const satisfies Record<string, Tool>;

export const isMore = (peer: string): peer is MorePeer => MORE_PEERS.some((name) => name === peer);

export const moreToolsOf = (peer: MorePeer): (keyof typeof ALL_TOOLS)[] =>
  peer === 'python-client' ? ['python', 'pip'] : ['java', 'mvn'];
