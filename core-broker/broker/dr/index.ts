// Door of the DR side of a broker.
export { attachDr } from './attach-dr.ts';
export { DrBroker, type DrHealth } from './dr-broker.ts';
export { StoreSink, TableSink } from './sink/index.ts';
