// What it means when a server cannot have its port: somebody else holds it, or the configuration names
// an address or a port that this user cannot have. One sentence for all servers of this program.
import { DrError } from '../errors.ts';

const HINT = 'dr doctor -c FILE names the process that holds a port; or choose another one';

/** @param place  what wanted to listen, and where */
export function listenProblem(
  cause: NodeJS.ErrnoException,
  place: { what: string; host: string; port: number },
): DrError {
  const at = `${place.host}:${place.port}`;
  if (cause.code === 'EADDRINUSE') {
    return new DrError('LOCKED', `${place.what}: port ${at} is in use by another process`, {
      cause,
      hint: HINT,
      context: { port: place.port },
    });
  }
  return new DrError('CONFIG', `${place.what}: cannot listen on ${at}: ${cause.message}`, {
    cause,
    hint: 'choose a local address and a port this user may open',
  });
}
