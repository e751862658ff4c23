// Opens the backup of a configuration with its repository begun, as an operator does once.
import { type Backup, type BackupOptions, createBackup } from '../../../backup/index.ts';

export async function initBackup(options: BackupOptions): Promise<Backup> {
  const backup = await createBackup(options);
  await backup.init();
  return backup;
}
