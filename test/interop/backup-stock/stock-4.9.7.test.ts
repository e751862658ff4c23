// Backups of and for a stock 4.9.7 broker: see suite.ts.
import { testBackupOfStock } from './suite.ts';

testBackupOfStock('4.9.7');
