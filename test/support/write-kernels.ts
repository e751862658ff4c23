// Compiles the WebAssembly modules and writes their generated files: `npm run kernels`.
import * as fs from 'node:fs';
import { binaryFile, compileKernel, MODULES } from './kernels.ts';

for (const name of MODULES) fs.writeFileSync(binaryFile(name), await compileKernel(name));
