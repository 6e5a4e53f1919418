-- What stands before each of the scripts (session.lua, watch.lua), since both have a use for it.
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

-- What stands before each key and channel of the cell (redis.prefix). KEYS have it; what is named in here gets
-- it from one of them. A message and an entry name channels without it.
local prefix = ''

local function say_expired(session, ms)
  redis.call('PUBLISH', prefix .. 'session-updates', '{"sessionId":' .. cjson.encode(session) ..
    ',"expired":true,"timestamp":' .. number(ms) .. '}')
end

-- Sessions of the index whose time is over, but for one. If a session is gone (it has expired, or another
-- program has deleted it), it leaves the index, and that is said: so it is said once, whoever comes by first.
-- One that another program has prolonged gets its time.
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
