// The BullMQ job queue against a real Redis, with the contract of every job queue.
import { afterAll, beforeAll } from 'vitest';
import { openBullmqJobs } from '../../backup/index.ts';
import { jobQueueSuite } from '../support/backup/job-queue-suite.ts';
import { type RunningRedis, startRedis } from '../support/backup/redis.ts';
import { ensurePeers } from './peers/install.ts';

let redis: RunningRedis | undefined;
let queues = 0;
beforeAll(async () => {
  await ensurePeers('redis');
  redis = await startRedis();
});
afterAll(() => redis?.stop());

jobQueueSuite('bullmq', async () => {
  const prefix = `dr-${++queues}`;
  return {
    open: (leaseMs) =>
      openBullmqJobs({ host: '127.0.0.1', port: redis?.port ?? 0, prefix, leaseMs }),
    end: async () => undefined,
  };
});
