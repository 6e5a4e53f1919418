// The SDKs are installed outside the source tree, in NODEBEAT_TEST_NODE_MODULES; node looks for
// bare names only beside the importing file and above.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';

const home = process.env.NODEBEAT_TEST_NODE_MODULES;
const require = createRequire(pathToFileURL(join(home, 'here.js')));

export const load = (name) => import(pathToFileURL(require.resolve(name)).href);
