// Loaded before the program: the user has no home, as one without HOME and without a line in passwd.

import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';

os.homedir = () => {
  throw Object.assign(new Error('uv_os_homedir returned ENOENT'), { code: 'ERR_SYSTEM_ERROR' });
};
syncBuiltinESMExports();
