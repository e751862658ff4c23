// Door of base (L0): errors, configuration syntax, logs, metrics, time, service life cycle, files.
export * from './atomic-file.ts';
export * from './brands.ts';
export * from './clock.ts';
export * from './env.ts';
export * from './errors.ts';
export * from './limits.ts';
export * from './log.ts';
export * from './memory/kept-bytes.ts';
export * from './metrics.ts';
export * from './properties.ts';
export * from './retry.ts';
export * from './service.ts';
export * from './settings/listening.ts';
export * from './settings/lists.ts';
export * from './settings/table.ts';
export * from './state/active-region.ts';
