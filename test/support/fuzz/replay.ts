// Plays one case of the hostile frames again: node test/support/fuzz/replay.ts KIND SEED CASE [all]
// `all` = with the codes that write files, as the small runs have them.
import { corpusFor, type WorldKind } from './corpus.ts';
import { WRITERS } from './play.ts';
import { frameOf, fuzz } from './run.ts';
import { openWorld } from './world.ts';

const [kind = 'broker', seed = '1', at = '0', all] = process.argv.slice(2);

const KINDS: WorldKind[] = ['broker', 'dr-broker', 'nameserver'];
const which = KINDS.find((known) => known === kind) ?? 'broker';
const world = await openWorld(which);
const corpus = corpusFor(which, all ? new Set() : WRITERS, world.served);
const canary = { code: which === 'nameserver' ? 106 : 28 };
const run = { world, corpus, seed: Number(seed), canary };
process.stdout.write(`${frameOf(run, Number(at)).toString('latin1').slice(0, 2_000)}\n`);
const found = await fuzz({ ...run, from: Number(at), cases: 1 });
process.stdout.write(`${found.join('\n') || 'nothing found'}\n`);
await world.close();
