// A stateless MCP server of revision 2026-07-28, from the official SDK.
//
//   node server_2026.mjs reject|stateless
//
// The argument says what becomes of clients of the 2025 revisions: refused, or served too. Prints
// its port once it listens. GET /requests lists the MCP methods it was asked. Ends when its standard
// input does.
import { createServer } from 'node:http';
import process from 'node:process';

import { load } from './modules.mjs';

const { McpServer, createMcpHandler } = await load('@modelcontextprotocol/server');
const { toNodeHandler } = await load('@modelcontextprotocol/node');

const handler = toNodeHandler(
  createMcpHandler(
    () => {
      const server = new McpServer({ name: 'cell-tools', version: '2.0.1' });
      server.registerTool('where', { description: 'Where the tool head is' }, async () => ({
        content: [{ type: 'text', text: 'at home' }],
      }));
      return server;
    },
    { legacy: process.argv[2] },
  ),
);

const asked = [];
const http = createServer(async (request, response) => {
  if (request.url === '/requests') {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(asked));
    return;
  }
  if (request.url !== '/mcp') {
    response.writeHead(404).end();
    return;
  }
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
  asked.push(body?.method ?? request.method);
  await handler(request, response, body);
});
http.listen(0, '127.0.0.1', () => console.log(http.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
