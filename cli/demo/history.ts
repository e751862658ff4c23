// What clients write down about themselves, one JSON object per line, flushed per line. The checker
// reads only this. A key is `<producer>-<sequence>`; the sequence grows by one per invoked send.
//
//   {"t":ms,"op":"send","phase":"invoke","key":"p1-7"}
//   {"t":ms,"op":"send","phase":"ok","key":"p1-7","queue":"broker-a:3","offset":41,"attempts":1}
//   {"t":ms,"op":"send","phase":"fail|unknown","key":"p1-7"}
//   {"t":ms,"op":"consume","key":"p1-7","queue":"broker-a:3","offset":41,"reconsume":0}
//   {"t":ms,"op":"audit", ...}   the same fields, read from the first offset at the end of a run
import * as fs from 'node:fs';

export interface HistoryLine {
  /** Wall clock, ms. */
  t: number;
  op: 'send' | 'consume' | 'audit';
  phase?: 'invoke' | 'ok' | 'fail' | 'unknown';
  key: string;
  /** `brokerName:queueId`, with the topic in front when a history holds several. */
  queue?: string;
  offset?: number;
  /** Tries of this send, when the client tells; more than 1 may leave a duplicate in the log. */
  attempts?: number;
  reconsume?: number;
}

/** Appends lines to one file; a killed writer loses at most the line it was writing. */
export class HistoryWriter {
  readonly #fd: number;
  constructor(file: string) {
    this.#fd = fs.openSync(file, 'a');
  }
  write(line: Omit<HistoryLine, 't'>): void {
    fs.writeSync(this.#fd, `${JSON.stringify({ t: Date.now(), ...line })}\n`);
  }
  close(): void {
    fs.closeSync(this.#fd);
  }
}

/** Reads a history; a torn last line (the writer was killed) is left out. */
export function readHistory(file: string): HistoryLine[] {
  if (!fs.existsSync(file)) return [];
  const lines = fs.readFileSync(file, 'utf8').split('\n');
  lines.pop();
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as HistoryLine);
}

/** Producer and sequence of a key. */
export function splitKey(key: string): { producer: string; sequence: number } {
  const dash = key.lastIndexOf('-');
  return { producer: key.slice(0, dash), sequence: Number(key.slice(dash + 1)) };
}
