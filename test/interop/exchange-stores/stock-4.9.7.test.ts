// One store between ours and a stock 4.9.7; see suite.ts.
import { storeExchange } from './suite.ts';

storeExchange('4.9.7');
