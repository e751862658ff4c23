// One store between ours and a stock 5.5.0; see suite.ts.
import { storeExchange } from './suite.ts';

storeExchange('5.5.0');
