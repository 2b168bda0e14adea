-- Lets go of what is not to be kept of a room.
-- KEYS: ends, the stream. ARGV: room, texts to keep, days to keep (0: for ever).
local tail = redis.call('HGET', KEYS[1], ARGV[1])
if not tail then
    return 0
end
local epoch, seq, begin = string.match(tail, '^(%d+)-(%d+) (%d+)$')
local cut = tonumber(seq) - ARGV[2]
if cut > tonumber(begin) then
    redis.call('XTRIM', KEYS[2], 'MINID', string.format('%s-%.0f', epoch, cut + 1))
end
local before = ARGV[3] == '0' and 0 or (redis.call('TIME')[1] - ARGV[3] * 86400) * 1000
local function is_to_go(entry)
    return tonumber(string.match(entry[1], '-(%d+)$')) <= cut or tonumber(entry[2][4]) < before
end
-- What is too old, and what earlier epochs have left. A few at a time: each may be large; the first
-- alone, for there is mostly nothing. And not too many at once: others wait.
local count = 1
for _ = 1, 25 do
    local gone = 0
    for _, entry in ipairs(redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', count)) do
        if not is_to_go(entry) then
            break
        end
        gone = gone + redis.call('XDEL', KEYS[2], entry[1])
    end
    if gone < count then
        break
    end
    count = 20
end
return 1
