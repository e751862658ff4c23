// Door of the replicator (L4): the mirror link and the ports it needs.
export { type LinkConfig, linkConfigSchema } from './config.ts';
export type * from './door.ts';
export { createLogLink } from './link.ts';
export {
  LINK_TRANSITIONS,
  type LinkEvent,
  type LinkState,
  type LinkTransition,
  linkTransition,
} from './link-states.ts';
export { isIncluded } from './metadata/name-filter.ts';
export type * from './ports.ts';
