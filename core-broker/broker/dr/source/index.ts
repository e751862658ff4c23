// Door of the source side of a link.
export { lastRecordBefore } from './last-record.ts';
export { compareHistories } from './lineage.ts';
export { LinkSource } from './link-source.ts';
