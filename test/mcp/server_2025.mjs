// An MCP server of the 2025 revisions, from the official SDK: streamable HTTP with sessions.
//
//   node server_2025.mjs json|sse [--host NAME]
//
// Prints its port once it listens. GET /sessions counts the sessions opened and still open, and the
// requests, so that a test sees whether a client leaves any behind. Ends when its standard input does.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import process from 'node:process';

import { load } from './modules.mjs';

const { McpServer } = await load('@modelcontextprotocol/sdk/server/mcp.js');
const { StreamableHTTPServerTransport } = await load(
  '@modelcontextprotocol/sdk/server/streamableHttp.js');

const enableJsonResponse = process.argv[2] === 'json';
// With a name: the SDK's own protection against DNS rebinding.
const host = process.argv[3] === '--host' ? process.argv[4] : undefined;
const sessions = new Map();
let opened = 0;
let requests = 0;

async function newTransport() {
  const transport = new StreamableHTTPServerTransport({
    enableJsonResponse,
    enableDnsRebindingProtection: host !== undefined,
    allowedHosts: host === undefined ? undefined : [host],
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (id) => {
      opened += 1;
      sessions.set(id, transport);
    },
  });
  transport.onclose = () => sessions.delete(transport.sessionId);
  const server = new McpServer({ name: 'cell-tools', version: '1.4.2' });
  server.tool('where', 'Where the tool head is', async () => ({
    content: [{ type: 'text', text: 'at home' }],
  }));
  await server.connect(transport);
  return transport;
}

const http = createServer(async (request, response) => {
  if (request.url === '/sessions') {
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ opened, open: sessions.size, requests }));
    return;
  }
  if (request.url !== '/mcp') {
    response.writeHead(404).end();
    return;
  }
  requests += 1;
  const known = sessions.get(request.headers['mcp-session-id']);
  const transport = known ?? (await newTransport());
  await transport.handleRequest(request, response);
});
http.listen(0, '127.0.0.1', () => console.log(http.address().port));
process.stdin.on('end', () => process.exit(0)).resume();
