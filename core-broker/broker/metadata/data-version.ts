// Version of a metadata table. Name servers compare it; stateVersion carries the epoch, so that the
// registration of an old active side never wins over a new one. Source: RocketMQ DataVersion.

export interface DataVersion {
  counter: number;
  stateVersion: number;
  timestamp: number;
}

export const firstDataVersion = (nowMs: number): DataVersion => ({
  counter: 0,
  stateVersion: 0,
  timestamp: nowMs,
});

/** The version after one more change. */
export function nextDataVersion(
  version: DataVersion,
  nowMs: number,
  stateVersion = version.stateVersion,
): DataVersion {
  return { counter: version.counter + 1, stateVersion, timestamp: nowMs };
}

/** Reads a version out of parsed JSON; missing parts (4.9 has no stateVersion) become 0. */
export function readDataVersion(value: unknown): DataVersion {
  const parts = (typeof value === 'object' && value !== null ? value : {}) as Record<
    string,
    unknown
  >;
  const part = (name: string): number => {
    const number = Number(parts[name]);
    return Number.isSafeInteger(number) ? number : 0;
  };
  return {
    counter: part('counter'),
    stateVersion: part('stateVersion'),
    timestamp: part('timestamp'),
  };
}
