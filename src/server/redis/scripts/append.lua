-- Appends the texts of one turn to the streams of their rooms: for each room one entry, whose ID is
-- EPOCH-SEQ of the last.
-- KEYS: state, ends, the writer's record, the channel of the news, the stream of each room.
-- ARGV: epoch, run, the writer's name, the name of each room, and then for each room: the entry's
-- number, texts, lines, the SEQ up to where the writer has the room (-1: it does not care), and the ID
-- of the entry that had that.
-- Returns 'changed' if another epoch or run of Redis has begun; else for each room
-- {'kept', SEQ of the first, time, total, what the writer does not have}, {'lost'} if something is not
-- there that has been there, {'used'} if the number was used for something later, {'refused', why}.
local format, match = string.format, string.match
local state = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'total')
if state[1] ~= ARGV[1] or state[2] ~= ARGV[2] then
    return 'changed'
end
local epoch, total = ARGV[1], tonumber(state[3])
local clock = redis.call('TIME')
local time = format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
local rooms = {unpack(ARGV, 4, #KEYS - 1)}
local records = redis.call('HMGET', KEYS[3], unpack(rooms))
local tails = redis.call('HMGET', KEYS[2], unpack(rooms))
local new_records, new_tails, news = {}, {}, ARGV[3]

-- What the writer does not have of what comes before that text.
local function missing(stream, at, first)
    local have = tonumber(ARGV[at + 3])
    if have < 0 or have >= first - 1 then
        return {}
    end
    local before = format('%s-%.0f', epoch, first - 1)
    return redis.call('XRANGE', stream, '(' .. ARGV[at + 4], before, 'COUNT', 64)
end

-- The reply to an entry that was given to Redis before.
local function repeated(record, stream, at)
    local done, first, at_time, count = match(record, '^(%d+) (%d+) (%d+) (%d+)$')
    if tonumber(done) == tonumber(ARGV[at]) then
        return {'kept', first, at_time, count, missing(stream, at, tonumber(first))}
    elseif tonumber(done) > tonumber(ARGV[at]) then
        return {'used'}
    end
end

-- Where a stream ends that is not among the ends.
local function found(stream)
    local info = redis.call('EXISTS', stream) == 1 and redis.call('XINFO', 'STREAM', stream) or {}
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then
            return info[i + 1] .. ' 0'
        end
    end
    return '0-0 0'
end

local function append(room, tail, stream, at)
    local tail_epoch, seq, begin = match(tail or found(stream), '^(%d+)-(%d+) (%d+)$')
    -- What is not there of an earlier epoch is known to be lost.
    local is_there = tail_epoch == epoch
    if is_there and not tail then
        return {'lost'}
    end
    local first, last = format('%.0f', seq + 1), format('%.0f', seq + ARGV[at + 1])
    local id, count = epoch .. '-' .. last, format('%.0f', total + ARGV[at + 1])
    local words = {id, 'first', first, 'time', time, 'total', count, 'lines', ARGV[at + 2]}
    if is_there then
        table.insert(words, 1, 'NOMKSTREAM')
    end
    -- This is what may fail, for want of memory for example: then nothing is written of this room.
    local added = redis.pcall('XADD', stream, unpack(words))
    if not added then
        return {'lost'}
    elseif added.err then
        return {'refused', added.err}
    end
    total = total + ARGV[at + 1]
    local n = #new_tails
    new_tails[n + 1], new_tails[n + 2] = room, id .. ' ' .. (is_there and begin or seq)
    new_records[n + 1], new_records[n + 2] = room, table.concat({ARGV[at], first, time, count}, ' ')
    news = news .. ' ' .. room .. ' ' .. last
    return {'kept', first, time, count, missing(stream, at, seq + 1)}
end

local replies = {}
for i, room in ipairs(rooms) do
    local stream, at = KEYS[i + 4], #KEYS + (i - 1) * 5
    replies[i] = records[i] and repeated(records[i], stream, at) or append(room, tails[i], stream, at)
end
if #new_tails > 0 then
    redis.call('HSET', KEYS[1], 'total', format('%.0f', total))
    redis.call('HSET', KEYS[2], unpack(new_tails))
    redis.call('HSET', KEYS[3], unpack(new_records))
    -- What is kept is not to be refused for this.
    redis.pcall('PUBLISH', KEYS[4], news)
end
return replies
