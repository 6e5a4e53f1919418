// The client of an official SDK drives nodebeat-gate and tells what it got as one JSON object. It
// starts the gate and talks over standard input and output, as a desktop client does, or uses HTTP.
//
//   node gate_client.mjs 2025|2026 stdio GATE SOCKET
//   node gate_client.mjs 2025|2026 http URL TOKEN
import process from 'node:process';

import { load } from './modules.mjs';

const [, , line, way, where, more] = process.argv;
const sdk = line === '2025' ? '@modelcontextprotocol/sdk/client' : '@modelcontextprotocol/client';
const { Client } = await load(line === '2025' ? `${sdk}/index.js` : sdk);

const byStdio = async () => {
  const { StdioClientTransport } = await load(line === '2025' ? `${sdk}/stdio.js` : `${sdk}/stdio`);
  return new StdioClientTransport({
    command: where,
    args: ['mcp', '--socket', more, '--allow-writes'],
    stderr: 'inherit',
  });
};
const byHttp = async () => {
  const { StreamableHTTPClientTransport } = await load(
    line === '2025' ? `${sdk}/streamableHttp.js` : sdk);
  return new StreamableHTTPClientTransport(new URL(where), {
    requestInit: { headers: { Authorization: `Bearer ${more}` } },
  });
};
const transport = way === 'http' ? await byHttp() : await byStdio();
const client = new Client(
  { name: 'gate-test', version: '1.0.0' },
  line === '2026' ? { versionNegotiation: { mode: { pin: '2026-07-28' } } } : {},
);
const updates = [];
let tellFirst;
const first = new Promise((resolve) => { tellFirst = resolve; });
const onUpdate = (notification) => {
  updates.push(notification.params.uri);
  tellFirst();
};
if (line === '2025') {
  const { ResourceUpdatedNotificationSchema } = await load('@modelcontextprotocol/sdk/types.js');
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, onUpdate);
} else {
  client.setNotificationHandler('notifications/resources/updated', onUpdate);
}
await client.connect(transport);

const call = async (name, args = {}) => {
  const result = await client.callTool({ name, arguments: args });
  return result.structuredContent;
};
const told = {
  server: client.getServerVersion(),
  capabilities: client.getServerCapabilities(),
  tools: (await client.listTools()).tools.map((tool) => tool.name),
  resources: (await client.listResources()).resources.map((resource) => resource.uri),
  templates: (await client.listResourceTemplates()).resourceTemplates.map((one) => one.uriTemplate),
  calls: {
    system_status: await call('system_status', { detailed: true }),
    list_nodes: await call('list_nodes'),
    node_health: await call('node_health'),
    redis_info: await call('redis_info'),
    doctor: await call('doctor'),
    set_state: await call('set_state', { key: 'cell:sdk', data: { n: 1 } }),
    get_state: await call('get_state', { key: 'cell:sdk' }),
    missing: await call('get_state', { key: 'cell:none' }),
    list_sessions: await call('list_sessions'),
    get_session: await call('get_session', { session_id: 'job' }),
    update_session: await call('update_session', { session_id: 'job', expected_version: 1, state: { n: 2 } }),
    publish_event: await call('publish_event', { channel: 'a:b', event_data: { n: 1 } }),
    recent_events: await call('recent_events', { channels: ['a:b'] }),
    subscribe_events: await call('subscribe_events', { channels: ['a:b'], timeout: 0 }),
    bus_send: await call('bus_send', {
      type: 'parameter_update', data: { variable: 'v', value: 1, user: 'u' },
    }),
    emergency_stop: await call('emergency_stop', { message: 'a test' }),
  },
};
told.status = JSON.parse((await client.readResource({ uri: 'state://status' })).contents[0].text);
told.completion = (await client.complete({
  ref: { type: 'ref/resource', uri: 'state://session/{id}' }, argument: { name: 'id', value: 'j' },
})).completion.values;

const uri = 'state://session/job';
if (line === '2025') {
  await client.subscribeResource({ uri });
} else {
  await client.listen({ resourceSubscriptions: [uri] });
}
await call('update_session', { session_id: 'job', expected_version: 2, state: { n: 3 } });
await first;
told.updates = [...new Set(updates)];
await client.close();
console.log(JSON.stringify(told));
