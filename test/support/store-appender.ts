// A child process that appends under SYNC_FLUSH until it is killed and says on stdout, one line each,
// which records were acknowledged: `<queueId> <queueOffset> <physicalOffset> <size> <serial>`.
// Usage: node store-appender.ts <folder> <flushDiskType> <first serial>
import { openStore } from '../../core-broker/store/index.ts';
import { recordSource, smallStoreOptions } from './store-options.ts';

const [folder = '', flush = 'SYNC_FLUSH', firstSerial = '0'] = process.argv.slice(2);
const flushDiskType = flush === 'ASYNC_FLUSH' ? 'ASYNC_FLUSH' : 'SYNC_FLUSH';
const store = await openStore(smallStoreOptions(folder, { flushDiskType }));

const waiting: { end: number; line: string }[] = [];
store.onDurable((end) => {
  let lines = '';
  while (waiting[0] !== undefined && waiting[0].end <= end) lines += `${waiting.shift()?.line}\n`;
  if (lines !== '') process.stdout.write(lines);
});

let serial = Number(firstSerial);
function appendSome(): void {
  for (let i = 0; i < 1 + (serial % 13); i++, serial++) {
    const queueId = serial % 3;
    const body = Buffer.alloc(8 + ((serial * 37) % 900), serial & 255);
    body.writeUInt32BE(serial, 0);
    const source = recordSource(store, { queueId, body, properties: { KEYS: `s${serial}` } });
    const { physicalOffset, sizeBytes, queueOffset } = store.append(source);
    const line = `${queueId} ${queueOffset} ${physicalOffset} ${sizeBytes} ${serial}`;
    waiting.push({ end: physicalOffset + sizeBytes, line });
  }
  if (waiting.length < 200) setImmediate(appendSome);
  else setTimeout(appendSome, 1);
}
appendSome();
