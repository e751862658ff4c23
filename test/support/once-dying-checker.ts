// A checking thread that dies under its first order, the first time it is started; the real one from then on.
import * as fs from 'node:fs';
import * as path from 'node:path';
import { workerData } from 'node:worker_threads';
import type { CheckSetup } from '../../core-broker/store/check/digest-ring.ts';

const mark = path.join((workerData as CheckSetup).folder, '..', 'has-died');
if (fs.existsSync(mark)) {
  await import('../../core-broker/store/check/checker-thread.ts');
} else {
  fs.writeFileSync(mark, '');
  await import('./dying-checker.ts');
}
