// Open half messages between ours and a stock 4.9.7; see suite.ts.
import { exchangeSuite } from './suite.ts';

exchangeSuite('4.9.7');
