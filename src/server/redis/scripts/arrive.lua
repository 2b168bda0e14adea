-- A server has connected: says which epoch it is, and whether all that any server has seen of it is
-- there. If not, begins a new one.
-- KEYS: state, servers, votes, ends, epochs, the channel of the news, the record of this server.
-- ARGV: run, server, epoch that it knows ('' at its start), the run in which it was here last, the
-- total that it has seen, how much is kept, the epoch of which it has found that something is lost
-- ('' if it has not), how long to wait for other servers, in ms.
-- Returns {'here', epoch, total}, {'new', epoch, total, the one before or ''} if an epoch was begun,
-- {'keeps', how much} if the other servers keep as much, {'wait'}: for the others.
local SILENT = 15000
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local run, me, known, known_run, seen = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local state = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'total', 'at', 'keep')
local epoch, total, at = state[1], tonumber(state[3]) or 0, tonumber(state[4]) or 0
local heard, latest = {}, 0
local servers = redis.call('HGETALL', KEYS[2])
for i = 1, #servers, 2 do
    heard[servers[i]] = tonumber(servers[i + 1])
    latest = math.max(latest, heard[servers[i]])
end
local function enter()
    local records = string.sub(KEYS[7], 1, #KEYS[7] - #me)
    for server, time in pairs(heard) do
        if time < now - 7 * 86400000 then
            redis.call('HDEL', KEYS[2], server)
            redis.call('DEL', records .. server)
        end
    end
    redis.call('HSET', KEYS[7], ':since', string.format('%.0f', now))
    redis.call('HSET', KEYS[2], me, string.format('%.0f', now))
    redis.call('HSET', KEYS[1], 'keep', ARGV[6])
end
local function begin()
    -- Later than each that is known, whatever the clock says.
    local least = math.max(tonumber(epoch or 0), tonumber(known) or 0) + 1
    local fresh = string.format('%.0f', math.max(t[1] * 1000000 + t[2], least))
    if epoch then
        -- Where the rooms ended then, for those who come with a position of that epoch.
        if redis.call('COPY', KEYS[4], KEYS[4] .. ':' .. epoch, 'REPLACE') == 1 then
            redis.call('RPUSH', KEYS[5], epoch)
        end
        while redis.call('LLEN', KEYS[5]) > 16 do
            redis.call('DEL', KEYS[4] .. ':' .. redis.call('LPOP', KEYS[5]))
        end
    end
    total = string.format('%.0f', total)
    redis.call('HSET', KEYS[1], 'epoch', fresh, 'run', run, 'total', total, 'at', total)
    redis.call('HSET', KEYS[4], ':epoch', fresh)
    redis.call('DEL', KEYS[3])
    enter()
    redis.call('PUBLISH', KEYS[6], '!')
    return {'new', fresh, total, epoch or ''}
end
if known == '' and state[5] and state[5] ~= ARGV[6] then
    for server, time in pairs(heard) do
        if server ~= me and time > now - SILENT then
            return {'keeps', state[5]}
        end
    end
end
-- There is nothing, something of it is lost, or it is a copy from an earlier epoch.
local is_there = epoch and tonumber(state[3])
if not is_there or ARGV[7] == epoch or tonumber(epoch) < (tonumber(known) or 0) then
    return begin()
end
-- It would not be known what this server has given to Redis.
if known == epoch and not redis.call('HGET', KEYS[7], ':since') then
    return begin()
end
-- It has less than this server has seen.
if known == epoch and seen > total then
    return begin()
end
local function here()
    enter()
    return {'here', epoch, string.format('%.0f', total)}
end
if state[2] == run then
    if known == epoch and known_run ~= run and seen > at then
        return begin()
    end
    return here()
end
-- Redis was started anew. All servers that were there before have to find what they have seen.
if redis.call('HGET', KEYS[3], ':run') ~= run then
    redis.call('DEL', KEYS[3])
    redis.call('HSET', KEYS[3], ':run', run, ':since', string.format('%.0f', now))
    for server, time in pairs(heard) do
        if time > latest - SILENT then
            redis.call('HSET', KEYS[3], server, 'no')
        end
    end
end
-- One that has just started has seen nothing, and can confirm nothing.
redis.call('HSET', KEYS[3], me, known == epoch and 'yes' or 'new')
local votes = redis.call('HGETALL', KEYS[3])
local missing, is_confirmed = {}, false
for i = 1, #votes, 2 do
    is_confirmed = is_confirmed or votes[i + 1] == 'yes'
    if votes[i + 1] == 'no' then
        table.insert(missing, votes[i])
    end
end
if #missing > 0 then
    if now - redis.call('HGET', KEYS[3], ':since') < tonumber(ARGV[8]) then
        return {'wait'}
    end
    -- They are not waited for again. That they have been here is known all the same: see enter().
    for _, server in ipairs(missing) do
        local silent = (heard[server] or now) - SILENT
        redis.call('HSET', KEYS[2], server, string.format('%.0f', silent))
    end
    return begin()
end
if not is_confirmed then
    return begin()
end
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[1], 'run', run, 'at', string.format('%.0f', total))
return here()
