// Points in time as mqadmin's users write them: `now`, `currentTimeMillis`, milliseconds,
// `yyyy-MM-dd#HH:mm:ss:SSS` in local time, and ISO 8601. Printed as `yyyy-MM-dd HH:mm:ss,SSS`.
import { DrError } from '../../base/index.ts';

const LOCAL = /^(\d{4})-(\d\d)-(\d\d)[# T](\d\d):(\d\d):(\d\d)(?:[:.,](\d{1,3}))?$/;

/** @returns ms since 1970; -1 stays -1 (the newest message) @throws DrError USAGE */
export function resolveTime(text: string, nowMs: number): number {
  if (text === 'now' || text === 'currentTimeMillis') return nowMs;
  if (/^-?\d{1,15}$/.test(text)) return Number(text);
  const parts = LOCAL.exec(text)?.slice(1).map(Number);
  const [year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0, ms = 0] = parts ?? [];
  const at = parts
    ? new Date(year, month - 1, day, hour, minute, second, Number.isNaN(ms) ? 0 : ms).getTime()
    : Date.parse(text);
  if (Number.isFinite(at)) return at;
  throw new DrError('USAGE', `'${text}' is not a time`, {
    hint: 'write now, milliseconds, 2026-01-31#08:30:00:000 or 2026-01-31T08:30:00Z',
  });
}

/** Local time with milliseconds; empty for 0. */
export function timeText(ms: number): string {
  if (!(ms > 0)) return '';
  const at = new Date(ms);
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${day} ${time},${String(at.getMilliseconds()).padStart(3, '0')}`;
}
