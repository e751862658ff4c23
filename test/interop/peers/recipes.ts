// What the interop tests need from outside and how each thing is obtained: one row per peer. Data only;
// install.ts runs it. Versions are the ones that were tried; nothing here names a registry host: the
// ordinary clients (mvn, go, npm, apt-get) use whatever they are configured with.

/** A program that must be on the PATH, and what to install where apt-get exists. */
export interface Tool {
  command: string;
  aptPackage: string;
}

export const TOOLS = {
  java: { command: 'java', aptPackage: 'openjdk-17-jdk-headless' },
  javac: { command: 'javac', aptPackage: 'openjdk-17-jdk-headless' },
  mvn: { command: 'mvn', aptPackage: 'maven' },
  go: { command: 'go', aptPackage: 'golang-go' },
  npm: { command: 'npm', aptPackage: 'npm' },
  redis: { command: 'redis-server', aptPackage: 'redis-server' },
} as const satisfies Record<string, Tool>;

export type ToolName = keyof typeof TOOLS;

/** A folder of jars: Maven artifacts of one version with everything they need. */
export interface JarSet {
  groupId: 'org.apache.rocketmq';
  artifacts: string[];
  version: string;
}

export const JAR_SETS = {
  'server-5.5.0': {
    groupId: 'org.apache.rocketmq',
    artifacts: ['rocketmq-namesrv', 'rocketmq-broker', 'rocketmq-tools', 'rocketmq-example'],
    version: '5.5.0',
  },
  'server-4.9.7': {
    groupId: 'org.apache.rocketmq',
    artifacts: ['rocketmq-namesrv', 'rocketmq-broker', 'rocketmq-tools'],
    version: '4.9.7',
  },
  'client-5.5.0': {
    groupId: 'org.apache.rocketmq',
    artifacts: ['rocketmq-client'],
    version: '5.5.0',
  },
  'client-4.9.8': {
    groupId: 'org.apache.rocketmq',
    artifacts: ['rocketmq-client'],
    version: '4.9.8',
  },
} as const satisfies Record<string, JarSet>;

export type JarSetName = keyof typeof JAR_SETS;

export const VERSITYGW = 'github.com/versity/versitygw/cmd/versitygw@v1.8.0';

/** Everything install.ts can provide. */
export const PEER_NAMES = [
  ...(Object.keys(JAR_SETS) as JarSetName[]),
  'java-client-5.5.0',
  'java-client-4.9.8',
  'go-client',
  'ali-ons',
  'redis',
  'versitygw',
] as const;

export type PeerName = (typeof PEER_NAMES)[number];

/** Tools one peer needs to be obtained and run. */
export function toolsOf(peer: PeerName): ToolName[] {
  if (peer === 'redis') return ['redis'];
  if (peer === 'go-client' || peer === 'versitygw') return ['go'];
  if (peer === 'ali-ons') return ['npm'];
  return peer.startsWith('java-client') ? ['java', 'javac', 'mvn'] : ['java', 'mvn'];
}

/** A pom whose only purpose is its list of dependencies. */
export function pomOf(set: JarSet): string {
  const dependencies = set.artifacts.map(
    (artifactId) => `    <dependency>
      <groupId>${set.groupId}</groupId>
      <artifactId>${artifactId}</artifactId>
      <version>${set.version}</version>
    </dependency>`,
  );
  return `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>peers</groupId>
  <artifactId>jars</artifactId>
  <version>1</version>
  <dependencies>
${dependencies.join('\n')}
  </dependencies>
</project>
`;
}
