// Compiles the AssemblyScript sources of core-broker/kernel. Each module of MODULES is one entry file
// in its source folder, and one generated file with the binary as text beside it: so nothing has to be
// found or copied at run time, in the source tree and in the published build alike.
// test/kernels.test.ts fails when a binary is not what its source compiles to; `npm run kernels` writes.
import * as path from 'node:path';
import * as asc from 'assemblyscript/asc';
import { ROOT } from './source-tree.ts';

export const MODULES = ['records', 'sends'] as const;
const FOLDER = 'core-broker/kernel';
const FLAGS = [
  ...['--optimizeLevel', '3', '--shrinkLevel', '0', '--converge', '--noAssert'],
  // No garbage collector and no static data: a kernel works on the memory it is given.
  ...['--runtime', 'stub', '--use', 'abort='],
  ...['--importMemory', '--initialMemory', '1', '--noExportMemory', '--enable', 'simd'],
  ...['--enable', 'relaxed-simd'],
];
const TEXT_COLUMNS = 96;

export const binaryFile = (name: string): string => path.join(ROOT, FOLDER, 'binary', `${name}.ts`);

/** @returns the text of the module's generated file */
export async function compileKernel(name: string): Promise<string> {
  let binary = new Uint8Array();
  const write = (_file: string, bytes: Uint8Array | string) => {
    if (typeof bytes !== 'string') binary = Uint8Array.from(bytes);
  };
  const source = `${FOLDER}/source/${name}.ts`;
  const outcome = await asc.main([source, '--baseDir', ROOT, '--outFile', 'out.wasm', ...FLAGS], {
    writeFile: write,
  });
  if (outcome.error !== null) throw new Error(`${source}: ${outcome.stderr.toString()}`);
  return generated(name, Buffer.from(binary).toString('base64'));
}

function generated(name: string, text: string): string {
  const lines = text.match(new RegExp(`.{1,${TEXT_COLUMNS}}`, 'g')) ?? [];
  return [
    `// The WebAssembly module \`${name}\`, base64. Made from core-broker/kernel/source/${name}.ts by`,
    '// `npm run kernels`; test/kernels.test.ts compiles the source again and compares.',
    `export const ${name.toUpperCase().replaceAll('-', '_')} = [`,
    ...lines.map((line) => `  '${line}',`),
    "].join('');",
    '',
  ].join('\n');
}
