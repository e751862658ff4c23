// How every program of ours starts Node. The shell script `dr` says the same (tidy test).
// Why a small young generation: every read of a socket is a fresh 64 KiB chunk. With Node's default of
// 16 MiB per half such chunks pile up until V8 runs a full collection, 70 of them in 10 s of sends at
// 300 MB/s; with 4 MiB the scavenger frees them in time and the broker needs a third less CPU.
export const NODE_FLAGS: readonly string[] = [
  '--disable-warning=ExperimentalWarning',
  '--max-semi-space-size=4',
];
