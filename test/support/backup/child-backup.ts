// Child of tests that kill: runs one backup or restore of the configuration given as JSON.
import { backupConfigSchema, createBackup } from '../../../backup/index.ts';

const [verb = '', config = '{}', first = '', second = ''] = process.argv.slice(2);
const backup = await createBackup({ config: backupConfigSchema.parse(JSON.parse(config)) });
if (verb === 'run') await backup.run({ rootDir: first });
else await backup.restore({ id: first, target: second });
backup.close();
