// Five test projects; `npm test` runs unit and integration, the others have a script of their own.
import { defineConfig } from 'vitest/config';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 15)) {
  throw new Error(
    `Node ${process.versions.node} runs this, 24.15 is needed: use the npm scripts, ` +
      'or put node_modules/.bin first on PATH.',
  );
}

const slow = { testTimeout: 240_000, hookTimeout: 240_000 };
/** Waits on a condition end when it holds; this long may a busy machine take. The default is 1 s. */
const patient = (timeout: number, interval: number) => ({
  expect: { poll: { timeout, interval } },
});
const project = (name: string, include: string[], options: object = {}) => ({
  extends: true as const,
  test: { name, include, ...options },
});

export default defineConfig({
  test: {
    pool: 'forks',
    reporters: ['default', './test/support/closing-line.ts'],
    projects: [
      project('structure', ['test/*.test.ts']),
      project('unit', ['test/unit/**/*.test.ts', 'test/property/**/*.test.ts'], {
        testTimeout: 120_000,
        ...patient(60_000, 10),
        env: { DR_LOG_LEVEL: 'silent' },
      }),
      project('integration', ['test/integration/**/*.test.ts'], {
        ...slow,
        ...patient(60_000, 10),
      }),
      project('interop', ['test/interop/**/*.test.ts'], {
        testTimeout: 600_000,
        hookTimeout: 600_000,
        ...patient(120_000, 100),
        // Why two: mostly waiting for Java servers to start; more of them need the memory of a server.
        maxWorkers: 2,
      }),
      project('fault', ['test/fault/**/*.test.ts'], {
        testTimeout: 900_000,
        hookTimeout: 300_000,
        fileParallelism: false,
      }),
    ],
  },
});
