// The conformance package imports a function that node.js has since 22, and Debian has 20. It is
// for one of the package's commands that is not used here.
//
//   node --import ./older_node.mjs …
import fs from 'node:fs';
import { register } from 'node:module';

const asData = (code) => `data:text/javascript,${encodeURIComponent(code)}`;

const withGlob = asData(`
export * from 'node:fs';
export { default } from 'node:fs';
export const globSync = () => { throw new Error('node.js 22 has this'); };
`);
const hook = asData(`
export const resolve = (name, context, next) =>
  name === 'fs' ? { url: ${JSON.stringify(withGlob)}, shortCircuit: true } : next(name, context);
`);

if (fs.globSync === undefined) register(hook);
