// An MCP server of the 2025 revisions on standard input and output, from the official SDK: what a
// bridge starts for each session.
//
//   node stdio_2025.mjs [milliseconds until it begins to answer]
import process from 'node:process';
import { setTimeout } from 'node:timers/promises';

import { load } from './modules.mjs';

const { McpServer } = await load('@modelcontextprotocol/sdk/server/mcp.js');
const { StdioServerTransport } = await load('@modelcontextprotocol/sdk/server/stdio.js');

await setTimeout(Number(process.argv[2] ?? 0));
await new McpServer({ name: 'arm-tools', version: '3.1.0' }).connect(new StdioServerTransport());
process.stdin.on('end', () => process.exit(0));
