// Child of a test: uploads a large object and ends itself, as kill -9 would, when part 3 is to leave.
import { S3Client } from '@aws-sdk/client-s3';
import { openS3Store, openUploadJournal, type S3StoreOptions } from '../../../backup/index.ts';

const request = JSON.parse(process.argv[2] ?? '{}') as S3StoreOptions & {
  journalFolder: string;
  sizeBytes: number;
};
const original = S3Client.prototype.send;
S3Client.prototype.send = function (this: unknown, ...call: unknown[]) {
  const [command] = call as [{ input?: { PartNumber?: number } }];
  if (command.input?.PartNumber === 3) process.kill(process.pid, 'SIGKILL');
  return (original as (...rest: unknown[]) => unknown).apply(this, call);
} as typeof original;

const journal = openUploadJournal(request.journalFolder);
const store = await openS3Store({ ...request, journal });
await store.putLarge('big', Buffer.alloc(request.sizeBytes, 'resumable'), { ifAbsent: true });
