// Entry of the backup process: takes one request from the daemon that started it, answers, ends.
// It yields to the broker by its own low priority and by pauses the daemon asks for, and it never outlives the daemon: the channel breaks
// when the daemon dies, however it died. SIGTERM asks it to give up and clean up; SIGINT (Ctrl-C reaches
// the whole group) is the daemon's to judge.
import * as os from 'node:os';
import { DrError } from '../../core-broker/base/index.ts';
import { Gate } from '../segment/index.ts';
import { type PauseMessage, type ScheduledRun, scheduledRun } from './scheduled-run.ts';

/** Nice value: gets the processor when the broker leaves it. */
const NICE = 10;

os.setPriority(NICE);
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort(new DrError('CANCELLED', 'the daemon stops')));
process.on('SIGINT', () => undefined);
process.once('disconnect', () => process.exit(1));
const gate = new Gate();
process.once('message', (request: ScheduledRun) => {
  process.on('message', ({ pauseMs }: PauseMessage) => gate.shut(pauseMs));
  void scheduledRun(request, stop.signal, gate).then(
    (answer) => end({ ok: true, answer }),
    (reason: unknown) => {
      const { code, message, hint, context, retry } = DrError.from(reason);
      end({ ok: false, code, message, hint, context, retry });
    },
  );
});

function end(reply: object): void {
  process.send?.(reply, undefined, undefined, () => process.exit(0));
}
