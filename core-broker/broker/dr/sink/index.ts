// Door of the sinks: what a link may write into a standby.
export { StoreSink } from './exact-sink.ts';
export { TableSink } from './metadata-sink.ts';
