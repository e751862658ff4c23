// Messages that are not delivered at once: a delayed one, a timer and an open transaction, stored before a
// region changes and looked for behind it.
//   node due-program.ts begin NAMESERVER TOPIC NAME FILE   stores them; writes down what the end needs
//   node due-program.ts end   NAMESERVER TOPIC NAME FILE   commits, waits until all three are in the topic
// Nothing is retried for the brokers' sake: what `begin` was told is stored must be there.
import * as fs from 'node:fs';
import { DrError, sleep } from '../../core-broker/base/index.ts';
import { createPeerClient, Producer, PullConsumer } from '../../core-broker/client/index.ts';
import { parseOffsetMsgId, RequestCode, SysFlag } from '../../core-broker/protocol/index.ts';

const GROUP = 'orders-due';
/** Level 2 of the usual levels and the timer both wait five seconds: longer than a switch. */
const DELAY_LEVEL = 2;
const WAIT_MS = 5_000;
const PATIENCE_MS = 30_000;

interface OpenTransaction {
  /** Where clients reach the broker: the same before and after. */
  address: string;
  commitLogOffset: number;
  tranStateTableOffset: number;
}

const [mode = '', nameserver = '', topic = '', name = '', file = ''] = process.argv.slice(2);
const nameservers = nameserver.split(';');
const kinds = ['delayed', 'timer', 'transaction'] as const;
if (mode === 'begin') await begin();
else if (mode === 'end') await end();
else throw new DrError('USAGE', 'mode is begin or end');
process.exit(0);

async function begin(): Promise<void> {
  const producer = new Producer({ nameservers, group: GROUP });
  producer.start();
  const body = (kind: (typeof kinds)[number]) => `${name}-${kind}`;
  await producer.send({ topic, body: body('delayed'), delayLevel: DELAY_LEVEL });
  const due = { TIMER_DELIVER_MS: String(Date.now() + WAIT_MS) };
  await producer.send({ topic, body: body('timer'), properties: due });
  const half = { TRAN_MSG: 'true', PGROUP: GROUP };
  const receipt = await producer.send({ topic, body: body('transaction'), properties: half });
  const open: OpenTransaction = {
    address: receipt.address,
    commitLogOffset: parseOffsetMsgId(receipt.offsetMsgId).physicalOffset,
    tranStateTableOffset: receipt.queueOffset,
  };
  fs.writeFileSync(file, JSON.stringify(open));
  await producer.stop();
}

async function end(): Promise<void> {
  const open = JSON.parse(fs.readFileSync(file, 'utf8')) as OpenTransaction;
  const reader = new PullConsumer({ nameservers, group: `${GROUP}-reader` });
  reader.start();
  await commit(open);
  const wanted = kinds.map((kind) => `${name}-${kind}`);
  for (const deadline = performance.now() + PATIENCE_MS; ; await sleep(200)) {
    const found = await bodies(reader);
    const missing = wanted.filter((body) => !found.includes(body));
    if (missing.length === 0) break;
    if (performance.now() > deadline) throw new DrError('VERIFY_FAILED', `missing: ${missing}`);
  }
  reader.stop();
}

/** The producer's last word, said to whoever writes now. */
async function commit({ address, ...half }: OpenTransaction): Promise<void> {
  const peer = createPeerClient();
  const outcome = { producerGroup: GROUP, commitOrRollback: SysFlag.TRANSACTION_COMMIT };
  const request = { code: RequestCode.END_TRANSACTION, ext: { ...half, ...outcome } };
  await peer.call(address, request, PATIENCE_MS);
  peer.close();
}

async function bodies(reader: PullConsumer): Promise<string[]> {
  const found: string[] = [];
  for (const queue of await reader.queues(topic)) {
    const last = await reader.bound(queue, 'max');
    let next = await reader.bound(queue, 'min');
    while (next < last) {
      const pulled = await reader.pull(queue, next);
      found.push(...pulled.messages.map((message) => message.body.toString()));
      next = pulled.next;
    }
  }
  return found;
}
