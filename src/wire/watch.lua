-- What the agent that watches the cell does on the server (PROTOCOL.md 4.10), so that a verdict and
-- its reasons are checked together: the watch is still this agent's, the lease is still the one
-- that was judged, no agent has announced it before. Each operation may come twice, since a run
-- whose connection broke is sent again: the second one finds the result of the first.
--
-- Before the first write everything was read and the user's rights were checked. The first write is
-- refused when the server is out of memory or a replica, those behind it are not.
local op = ARGV[1]

-- No lease and no watch is longer than what is read here: a long text of another program costs no
-- more than a short one. Another type counts as nothing.
local function line(key)
  local text = redis.pcall('GETRANGE', key, 0, 384)
  return is_error(text) and '' or text
end

-- The same of a field of a hash. False: there is none. A longer one than `most` counts as an empty one.
local function field(key, name, most)
  local size = redis.pcall('HSTRLEN', key, name)
  if is_error(size) then
    return size
  end
  return size > most and '' or redis.call('HGET', key, name)
end

-- KEYS: nodes, leases. Returns how many nodes the list has (an error: it is none), and the leases.
if op == 'look' then
  local out = {redis.pcall('HLEN', KEYS[1])}
  for i = 2, #KEYS do
    out[i] = line(KEYS[i])
  end
  return out
end

-- KEYS: nodes, or dead. ARGV: op, the limits of entries and bytes. Returns the names of the nodes,
-- each of `marks` with its lease behind it; or only their number, if there are too many. Entries
-- that are too long for the name of a node are left out. The text behind a name may be of any size,
-- so only wanted texts are read.
if op == 'names' or op == 'marks' then
  local size = redis.pcall('HLEN', KEYS[1])
  if is_error(size) or size > tonumber(ARGV[2]) then
    return size
  end
  local names, out, bytes = redis.call('HKEYS', KEYS[1]), {}, tonumber(ARGV[3])
  for i = 1, #names do
    if #names[i] <= 64 then
      local lease = op == 'marks' and field(KEYS[1], names[i], 384)
      out[#out + 1] = names[i]
      out[#out + 1] = lease or nil
      bytes = bytes - #names[i] - (lease and #lease or 0)
      if bytes < 0 then
        return size
      end
    end
  end
  return out
end

-- All others: KEYS[1] is the watch, ARGV[2] what it has to be, or for all but `claim` what it has
-- to begin with: then it is this agent's. Operations of the watch alone return the watch as it is
-- now.
local watch = line(KEYS[1])
prefix = KEYS[1]:sub(1, -1 - #'nodebeat:watch')

-- ARGV[3]: the new watch.
if op == 'claim' then
  if watch == ARGV[2] then
    watch = ARGV[3]
    redis.call('SET', KEYS[1], watch)
  end
  return watch
end
if watch:sub(1, #ARGV[2]) ~= ARGV[2] then
  return op == 'renew' and watch or 'moved'
end

if op == 'leave' then
  return redis.call('DEL', KEYS[1])
end

local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)

-- KEYS: watch, sessions, seals. ARGV[3]: the new watch; ARGV[4]: how many expired sessions at most.
if op == 'renew' then
  redis.call('SET', KEYS[1], ARGV[3])
  local over = redis.pcall('ZRANGEBYSCORE', KEYS[2], '-inf', number(ms), 'LIMIT', 0, ARGV[4])
  if is_error(over) or #over == 0 or forbidden('ZREM', KEYS[2], '') or forbidden('ZADD', KEYS[2], '0', '') or
    forbidden('HDEL', KEYS[3], '') or forbidden('PUBLISH', prefix .. 'session-updates', '') then
    return ARGV[3]
  end
  settle_expired(over, nil, KEYS[2], KEYS[3], ms)
  return ARGV[3]
end

-- ARGV[3], ARGV[4]: the channel and the event. ARGV[5]: empty: the event is not recorded; `only`:
-- it is recorded, and was published before.
local function tell()
  if ARGV[5] ~= '' then
    redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', 'channel', ARGV[3], 'event', ARGV[4])
  end
  if ARGV[5] ~= 'only' then
    redis.call('PUBLISH', prefix .. ARGV[3], ARGV[4])
  end
  return 'announced'
end
local refusal = forbidden('PUBLISH', prefix .. ARGV[3], '')

-- KEYS: watch, stream. The time in an event makes it another one than those before.
if op == 'say' then
  local latest = ARGV[5] ~= '' and redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 16) or {}
  refusal = refusal or ARGV[5] ~= '' and forbidden('XADD', KEYS[2], '*', 'event', '')
  for i = 1, refusal and 0 or #latest do
    if latest[i][2][4] == ARGV[4] then
      return 'already'
    end
  end
  return refusal or tell()
end

-- KEYS: watch, stream, dead, health, lease. ARGV[6]: the node; ARGV[7]: its lease. A health of more
-- than 32 KiB counts as none, as for all readers of healths.
local node, lease = ARGV[6], ARGV[7]
local known = field(KEYS[3], node, 384)
local health = field(KEYS[4], 'health', 32768)
refusal = is_error(known) and known or refusal or forbidden('XADD', KEYS[2], '*', 'event', '') or forbidden('HSET', KEYS[3], node, '') or
  forbidden('HDEL', KEYS[3], node) or forbidden('HSET', KEYS[4], 'health', '') or
  forbidden('PEXPIRE', KEYS[4], '1')
if refusal then
  return refusal
end
local function keep(text, ttl)
  if not is_error(health) then
    redis.call('HSET', KEYS[4], 'health', text)
    redis.call('PEXPIRE', KEYS[4], ttl)
  end
end

-- ARGV[8]: whether the lease has to be gone; ARGV[9], ARGV[10]: the reason and the timestamp for the health;
-- ARGV[11]: a whole health, if there is none. The last known figures stay.
if op == 'lost' then
  if line(KEYS[5]) ~= (ARGV[8] ~= '' and '' or lease) then
    return 'changed'
  elseif known == lease then
    return 'already'
  end
  -- A living agent whose lease the server refuses says so in its health, which expires when it is lost.
  if type(health) == 'string' and health:find('"lease_refused":true', 1, true) and
    health:find('"is_reachable":true', 1, true) then
    return 'changed'
  end
  redis.call('HSET', KEYS[3], node, lease)
  local down = ARGV[11]
  if type(health) == 'string' then
    local text, changed = health:gsub('"is_reachable"%s*:%s*true', function()
      return '"is_reachable":false,"reason":"' .. ARGV[9] .. '"'
    end, 1)
    if changed == 1 then
      down = text:gsub('"timestamp"%s*:%s*"[^"]*"', function()
        return '"timestamp":"' .. ARGV[10] .. '"'
      end, 1)
    elseif health:find('"is_reachable"%s*:%s*false') then
      down = health
    end
  end
  keep(down, 86400000)
  return tell()
end

-- returned: ARGV[7] is the lease as the watcher saw it. The mark is withdrawn if it differs from
-- both that lease and the present one. The node's own next beat comes soon.
if not known then
  return 'already'
elseif known == lease or known == line(KEYS[5]) then
  return 'changed'
end
redis.call('HDEL', KEYS[3], node)
if type(health) == 'string' then
  local changed
  health, changed = health:gsub('"is_reachable":false,"reason":"lease not renewed[^"]*"', '"is_reachable":true', 1)
  if changed == 1 then
    keep(health, 60000)
  elseif health:find('"reason":"lease not renewed', 1, true) then
    redis.call('HDEL', KEYS[4], 'health')
  end
end
return tell()
