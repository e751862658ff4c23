// Open half messages between ours and a stock 5.5.0; see suite.ts.
import { exchangeSuite } from './suite.ts';

exchangeSuite('5.5.0');
