// Five test projects; `npm test` runs unit and integration, the others have a script of their own.
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 15)) {
  throw new Error(
    `Node ${process.versions.node} runs this, 24.15 is needed: use the npm scripts, ` +
      'or put node_modules/.bin first on PATH.',
  );
}

// Tests start hundreds of programs, and half of a start is compiling: each file is compiled once (as in ./dr).
process.env['NODE_COMPILE_CACHE'] ??= fileURLToPath(
  new URL('.work/compile-cache', import.meta.url),
);

/**
 * Limits for a busy machine with a slow disk, hooks too; the defaults are 5 s, 10 s and, for a poll, 1 s.
 * What waits on a condition ends when it holds.
 */
const patient = (minutes: number, interval: number) => ({
  testTimeout: 2 * minutes * 60_000,
  hookTimeout: 2 * minutes * 60_000,
  expect: { poll: { timeout: minutes * 60_000, interval } },
});
const project = (name: string, include: string[], options: object = {}) => ({
  extends: true as const,
  test: { name, include, ...options },
});

export default defineConfig({
  test: {
    pool: 'forks',
    // Much of a test is waiting; the default leaves a core to the watcher.
    maxWorkers: Math.max(2, availableParallelism()),
    reporters: ['default', './test/support/closing-line.ts'],
    projects: [
      project('structure', ['test/*.test.ts'], patient(1, 10)),
      project('unit', ['test/unit/**/*.test.ts', 'test/property/**/*.test.ts'], {
        ...patient(1, 10),
        env: { DR_LOG_LEVEL: 'silent' },
      }),
      project('integration', ['test/integration/**/*.test.ts'], patient(2, 10)),
      project('interop', ['test/interop/**/*.test.ts'], {
        ...patient(5, 100),
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
