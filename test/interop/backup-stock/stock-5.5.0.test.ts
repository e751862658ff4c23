// Backups of and for a stock 5.5.0 broker: see suite.ts.
import { testBackupOfStock } from './suite.ts';

testBackupOfStock('5.5.0');
