// Door of the relay: a sealed side sends its clients to the promoted one.
export { Relay } from './relay.ts';
export { splitAddress } from './relay-file.ts';
