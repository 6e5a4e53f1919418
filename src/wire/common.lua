-- The common beginning of the scripts (session.lua, watch.lua).
local function number(n)
  return string.format('%.0f', n)
end

local function is_error(reply)
  return type(reply) == 'table' and reply.err ~= nil
end

-- An error if this user may not run that. So the rights are known before the first write.
local function forbidden(...)
  if not redis.acl_check_cmd(...) then
    return redis.error_reply('NOPERM a script of this user may not run ' .. table.concat({...}, ' ', 1, 2))
  end
end

-- The prefix of each key and channel of the cell (redis.prefix). KEYS have it; names that the
-- script makes get it from one of them. A message and an entry name channels without it.
local prefix = ''

local function say_expired(session, ms)
  redis.call('PUBLISH', prefix .. 'session-updates', '{"sessionId":' .. cjson.encode(session) ..
    ',"expired":true,"timestamp":' .. number(ms) .. '}')
end

-- Sessions of the index whose time is over, except one. If a session is gone (it has expired, or
-- another program has deleted it), it leaves the index, and its expiry is published. So each expiry
-- is published once. If another program has prolonged a session, the index gets the new time.
local function settle_expired(over, but_for, index, seals, ms)
  for i = 1, #over do
    local left = over[i] ~= but_for and redis.call('PTTL', prefix .. 'session:' .. over[i])
    if left == -2 then
      redis.call('ZREM', index, over[i])
      redis.pcall('HDEL', seals, over[i])
      say_expired(over[i], ms)
    elseif left then
      redis.call('ZADD', index, number(ms + (left < 0 and 3600000 or left)), over[i])
    end
  end
end
