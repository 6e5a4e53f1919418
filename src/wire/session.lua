-- Every operation on a session (PROTOCOL.md 3.6) is one run of this script, so that the value, its
-- version, its time to live, the index, the audit entry and the event change together or not at all.
--
-- A write is named by the agent's instance (in KEYS[4]) and a sequence number. The script keeps the
-- answers to the last 64 of an instance: a repeated write gets its first answer, and one that comes
-- late, behind 64 others, is `stale`. So a copy that lingers in a broken connection changes nothing.
--
-- The JSON of a caller is never parsed or encoded here: the text is spliced from what the agent
-- sends. The script keeps the SHA-1 of each text that it has written. Any other text was written by
-- another program: the answer is `foreign` with the text. The agent reads it, and asks again with
-- the text, and with the version and the time of creation that stand there.
--
-- Before the first write every key has been read, so that one of the wrong type is an error and
-- not half a change, and the user's rights are checked. The first write is refused when the server
-- is out of memory or a replica, those behind it are not.
local op, now = ARGV[1], redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local own = '^{"session_id":".-","version":(%d+),"created_at":("[^"]*"),"updated_at":("[^"]*")'

-- KEYS: session. ARGV: op, the longest text. Returns the text and its time to live.
if op == 'get' then
  local size = redis.pcall('STRLEN', KEYS[1])
  if is_error(size) then
    return 'wrong_type ' .. redis.call('TYPE', KEYS[1]).ok
  elseif size > tonumber(ARGV[2]) then
    return 'large ' .. number(size)
  end
  return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}
end

-- KEYS: index. ARGV: op, score and member behind which to begin, how many. Returns members and
-- scores. Without a score it begins with the first session that has not expired.
if op == 'page' then
  local from = 0
  if ARGV[2] == '' then
    from = redis.call('ZCOUNT', KEYS[1], '-inf', number(ms))
  else
    local score = redis.call('ZSCORE', KEYS[1], ARGV[3])
    if score == ARGV[2] then
      from = redis.call('ZRANK', KEYS[1], ARGV[3]) + 1
    else
      from = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[2])
    end
  end
  return redis.call('ZRANGE', KEYS[1], from, from + ARGV[4] - 1, 'WITHSCORES')
end

-- KEYS: seals, sessions. ARGV: op, bytes to read at most, the sessions' names. Returns for each its
-- version (empty: not known), when it was written, and its time to live; fewer if the bytes do not
-- suffice for more than one.
if op == 'look' then
  local out, bytes = {}, tonumber(ARGV[2])
  for i = 2, #KEYS do
    local version, updated = '', ''
    local left = redis.call('PTTL', KEYS[i])
    local size = redis.pcall('STRLEN', KEYS[i])
    if not is_error(size) and size > 0 then
      bytes = bytes - size
      if bytes < 0 and i > 2 then
        break
      end
      local text = redis.call('GET', KEYS[i])
      if redis.sha1hex(text) == redis.call('HGET', KEYS[1], ARGV[i + 1]) then
        local _
        version, _, updated = text:match(own)
      end
    end
    out[i - 1] = {version, updated, left}
  end
  return out
end

-- All others are writes. KEYS: session, index, seals, writes of this instance, audit. `name` is the
-- id as JSON.
local seq, id, name = ARGV[2], ARGV[3], ARGV[4]
local slot = number(seq % 64)
prefix = KEYS[2]:sub(1, -1 - #'nodebeat:sessions')

local known = redis.pcall('HGET', KEYS[4], slot)
if is_error(known) then
  return known
elseif known then
  local last, answer = known:match('^(%d+) (.*)$')
  if last == seq then
    return answer
  elseif last and tonumber(last) > tonumber(seq) then
    return 'stale'
  end
end

-- Refusals are kept as well: a late copy must not do what its caller was told is not done. A day is
-- longer than any copy can linger.
local function settle(answer)
  local done = redis.pcall('HSET', KEYS[4], slot, seq .. ' ' .. answer)
  if is_error(done) then
    return done
  end
  redis.call('PEXPIRE', KEYS[4], 86400000)
  return answer
end

-- ARGV[5]: the message as JSON. Settled first, since a message cannot be taken back.
if op == 'broadcast' then
  local channel = prefix .. 'ws:' .. id
  local refusal = forbidden('PUBLISH', channel, '') or settle('ok 0')
  if is_error(refusal) then
    return refusal
  end
  local heard = redis.call('PUBLISH', channel, '{"sessionId":' .. name .. ',"message":' .. ARGV[5] ..
    ',"timestamp":' .. number(ms) .. '}')
  return settle('ok ' .. number(heard))
end

local ttl, expected, options = ARGV[5], ARGV[6], ARGV[7]
-- With the option `read`: what the agent has read of another program: the text; its version, or
-- nothing, if the text may be replaced though it is no session; its time of creation, as JSON.
local read_text, read_version, read_created = ARGV[8], ARGV[9], ARGV[10]
-- The caller's members, each with a comma before it; then the same escaped for a JSON string.
local members, quoted = ARGV[11], ARGV[12]
local longest, audit_length = tonumber(ARGV[13]), tonumber(ARGV[14])

local text = redis.pcall('GET', KEYS[1])
if is_error(text) then
  return settle('wrong_type ' .. redis.call('TYPE', KEYS[1]).ok)
end
local seal = redis.call('HGET', KEYS[3], id)
local version, created = 0, ''
local corrupt = false
if text then
  if redis.sha1hex(text) == seal then
    version, created = text:match(own)
    version = tonumber(version)
  end
  if redis.sha1hex(text) == seal and (op ~= 'update' or version < 9007199254740991) then
    -- Above that a number cannot be distinguished from the next one: there the text counts as
    -- foreign.
  elseif options:find('read') and text == read_text then
    corrupt = read_version == ''
    version, created = tonumber(read_version) or 0, read_created
  elseif #text > longest then
    return settle('large ' .. number(#text))
  else
    local done = settle('foreign')
    return is_error(done) and done or {done, text}
  end
end

if op == 'create' then
  if text and not corrupt then
    return settle('conflict ' .. number(version))
  end
elseif not text and (expected ~= '' or not options:find('upsert')) then
  return settle('not_found')
elseif expected ~= '' and not corrupt and tonumber(expected) ~= version then
  return settle('conflict ' .. number(version))
end

local writes_text = op ~= 'delete' and (op ~= 'touch' or not text)
local refusal = op == 'delete' and forbidden('DEL', KEYS[1]) or
  op ~= 'delete' and forbidden(writes_text and 'SET' or 'PEXPIRE', KEYS[1], ttl) or
  forbidden(op == 'delete' and 'ZREM' or 'ZADD', KEYS[2], '0', id) or
  forbidden('ZREM', KEYS[2], id) or forbidden('HDEL', KEYS[3], id) or forbidden('HSET', KEYS[3], id, '') or
  forbidden('PUBLISH', prefix .. 'session-updates', '') or
  audit_length > 0 and forbidden('XADD', KEYS[5], '*', 'op', op)
if refusal then
  return refusal
end
local expired = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', number(ms), 'LIMIT', 0, 2)
-- The session was there, and no script has published yet that its time was over.
local was_there = not text and redis.call('ZSCORE', KEYS[2], id)
if audit_length > 0 then
  redis.call('XLEN', KEYS[5])
end
-- Nothing was written up to here.

local stamp = ''
if op ~= 'touch' or not text then
  -- The civil date of a day, from http://howardhinnant.github.io/date_algorithms.html
  local floor = math.floor
  local z = floor(now[1] / 86400) + 719468
  local era = floor(z / 146097)
  local of_era = z - era * 146097
  local year = floor((of_era - floor(of_era / 1460) + floor(of_era / 36524) - floor(of_era / 146096)) / 365)
  local of_year = of_era - (365 * year + floor(year / 4) - floor(year / 100))
  local month = floor((5 * of_year + 2) / 153)
  local day = of_year - floor((153 * month + 2) / 5) + 1
  month = month < 10 and month + 3 or month - 9
  year = year + era * 400 + (month <= 2 and 1 or 0)
  local seconds = now[1] % 86400
  stamp = string.format('"%04d-%02d-%02dT%02d:%02d:%02d.%03dZ"', year, month, day, floor(seconds / 3600),
    floor(seconds / 60) % 60, seconds % 60, floor(now[2] / 1000))
end

local head, new, after, entry
if writes_text then
  after = number(version + 1)
  head = '{"session_id":' .. name .. ',"version":' .. after .. ',"created_at":' ..
    (created ~= '' and created or stamp) .. ',"updated_at":' .. stamp
  new = head .. members .. '}'
end
if audit_length > 0 and stamp ~= '' then
  entry = {'op', op, 'session_id', id, 'timestamp', stamp:sub(2, -2),
    'old_version', text and not corrupt and number(version) or '', 'new_version', after or '',
    'sequence', seq, unpack(ARGV, 15)}
  if new and options:find('state') then
    entry[#entry + 1] = 'state'
    entry[#entry + 1] = new
  end
end
local function note()
  return redis.pcall('XADD', KEYS[5], 'MAXLEN', '~', number(audit_length), '*', unpack(entry))
end

-- The entry comes first, since a stream with the highest id there is takes none. Where memory is
-- short, a deletion is noted behind what it frees.
local noted = entry and note()
local starved = op == 'delete' and is_error(noted) and noted.err:find('^OOM')
if is_error(noted) and not starved then
  return noted
end
local done
if op == 'delete' then
  done = redis.pcall('DEL', KEYS[1])
elseif writes_text then
  done = redis.pcall('SET', KEYS[1], new, 'PX', ttl)
else
  done = redis.pcall('PEXPIRE', KEYS[1], ttl)
end
if is_error(done) then
  return done
end
if starved then
  note()
end

-- The holder of the watch does this twice a second; a write may find the session first. Sessions
-- that are deleted or written here leave the index or get a new time below, which is published as
-- such.
settle_expired(expired, id, KEYS[2], KEYS[3], ms)
if was_there then
  say_expired(id, ms)
end
if op == 'delete' then
  redis.call('ZREM', KEYS[2], id)
  redis.call('HDEL', KEYS[3], id)
else
  redis.call('ZADD', KEYS[2], number(ms + ttl), id)
end
if op == 'touch' and text then
  return settle('ok ' .. number(version))
end

if new then
  redis.call('HSET', KEYS[3], id, redis.sha1hex(new))
end
redis.call('PUBLISH', prefix .. 'session-updates', '{"sessionId":' .. name ..
  (new and ',"state":"' .. head:gsub('["\\]', '\\%0') .. quoted .. '}"' or ',"deleted":true') ..
  ',"timestamp":' .. number(ms) .. '}')
return settle('ok ' .. (after or number(version)))
