// The embedded job queue against the contract.
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { openSqliteJobs } from '../../../backup/index.ts';
import { jobQueueSuite } from '../../support/backup/job-queue-suite.ts';

jobQueueSuite('sqlite', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dr-jobs-'));
  return {
    open: async (leaseMs) => openSqliteJobs({ file: path.join(folder, 'jobs.db'), leaseMs }),
    end: async () => fs.rmSync(folder, { recursive: true, force: true }),
  };
});
