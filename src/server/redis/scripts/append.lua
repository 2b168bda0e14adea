-- Appends the texts of one turn to the streams of their rooms: for each room one entry, whose ID is
-- EPOCH-SEQ of the last.
-- KEYS: state, ends, the writer's record, the channel of the news, the stream of each room.
-- ARGV: epoch, run, the writer's name, the name of each room, and then for each room: the entry's
-- number, texts, lines, the SEQ up to where the writer has the room (-1: it does not care), and the ID
-- of the entry that had that.
-- Returns 'changed' if another epoch or run of Redis has begun; else for each room
-- {'kept', SEQ of the first, time, total, what the writer does not have, if anything}, {'lost'} if
-- something is not there that has been there, {'used'} if the number was used for something later,
-- {'refused', why}; and then, if the others were not told, why.
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

-- The reply to an entry that was given to Redis before, if it was.
local function repeated(i, at)
    local done, first, at_time, count = match(records[i] or '', '^(%d+) (%d+) (%d+) (%d+)$')
    if not done or tonumber(done) < tonumber(ARGV[at]) then
        return nil
    elseif tonumber(done) > tonumber(ARGV[at]) then
        return {'used'}
    end
    return {'kept', first, at_time, count}
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

local function append(i, at)
    local room, stream = rooms[i], KEYS[i + 4]
    local tail_epoch, seq, begin = match(tails[i] or found(stream), '^(%d+)-(%d+) (%d+)$')
    -- What is not there of an earlier epoch is known to be lost.
    local is_there = tail_epoch == epoch
    if is_there and not tails[i] or tonumber(ARGV[at + 3]) > tonumber(seq) then
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
    if not added or added.err and string.find(added.err, 'equal or smaller', 1, true) then
        return {'lost'}
    elseif added.err then
        return {'refused', added.err}
    end
    total = total + ARGV[at + 1]
    local n = #new_tails
    new_tails[n + 1], new_tails[n + 2] = room, id .. ' ' .. (is_there and begin or seq)
    new_records[n + 1], new_records[n + 2] = room, table.concat({ARGV[at], first, time, count}, ' ')
    news = news .. ' ' .. room .. ' ' .. last
    return {'kept', first, time, count}
end

-- What a script error says: a room that makes no sense is no reason to stop in the middle of the others.
local function refused(failure)
    return {'refused', type(failure) == 'table' and failure.err or tostring(failure)}
end

local replies = {}
for i = 1, #rooms do
    local at = #KEYS + (i - 1) * 5
    local is_done, reply = true, repeated(i, at)
    if not reply then
        is_done, reply = pcall(append, i, at)
    end
    replies[i] = is_done and reply or refused(reply)
end
if #new_tails > 0 then
    redis.call('HSET', KEYS[1], 'total', format('%.0f', total))
    redis.call('HSET', KEYS[2], unpack(new_tails))
    -- A server that ends soon leaves its record for a while, too.
    if redis.call('HSET', KEYS[3], unpack(new_records)) > 0 then
        redis.call('EXPIRE', KEYS[3], 7 * 86400)
    end
    -- What is kept is not to be refused for this.
    local published = redis.pcall('PUBLISH', KEYS[4], news)
    if type(published) == 'table' then
        replies[#replies + 1] = published.err
    end
end
-- What the writer does not have of what comes before.
for i = 1, #rooms do
    local at, reply = #KEYS + (i - 1) * 5, replies[i]
    local have, first = tonumber(ARGV[at + 3]), tonumber(reply[2])
    if reply[1] == 'kept' and have >= 0 and have < first - 1 then
        local before = format('%s-%.0f', epoch, first - 1)
        reply[5] = redis.call('XRANGE', KEYS[i + 4], '(' .. ARGV[at + 4], before, 'COUNT', 64)
    end
end
return replies
