// Child of tests that kill: runs one backup or restore of the configuration given as JSON.
import { backupConfigSchema } from '../../../backup/index.ts';
import { initBackup } from './init-backup.ts';

const [verb = '', config = '{}', first = '', second = ''] = process.argv.slice(2);
const backup = await initBackup({ config: backupConfigSchema.parse(JSON.parse(config)) });
if (verb === 'run') await backup.run({ rootDir: first });
else await backup.restore({ id: first, target: second });
backup.close();
