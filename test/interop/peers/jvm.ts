// Options for Java machines that live for seconds: compile once and roughly, collect with one thread, share
// the JDK's own classes. About half the processor time of a start; benches leave them out.

/** For clients, tools and the servers of tests. */
export const SHORT_LIVED_JVM = [
  '-XX:TieredStopAtLevel=1',
  '-XX:+UseSerialGC',
  '-Xshare:auto',
  '-XX:-UsePerfData',
] as const;
