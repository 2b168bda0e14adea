-- Appends the texts of one turn to the streams of their rooms: for each room one entry, whose ID is
-- EPOCH-SEQ of the last.
-- KEYS: state, ends, the writer's record, the channel of the news, the stream of each room.
-- ARGV: epoch, run, the writer's name, the name of each room, and then for each room: the entry's
-- number, texts, lines, the SEQ up to where the writer has the room (-1: it does not care), and the ID
-- of the entry that had that.
-- Returns 'changed' if another epoch or run of Redis has begun, 'lost' if the record or the ends are
-- gone; else for each room {'kept', SEQ of the first, time, total, what the writer does not have, if
-- anything}, {'lost'} if something is not there that has been there, {'used'} if the number was used for
-- something later, {'refused', why}; and then, if the others were not told, why.
-- Whatever may be refused is tried before the first entry is written: what is kept is never refused.
local format, match = string.format, string.match
local state = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'total')
local epoch, total = ARGV[1], tonumber(state[3])
if state[1] ~= epoch or state[2] ~= ARGV[2] or not total then
    return 'changed'
end
local clock = redis.call('TIME')
local time = format('%.0f', clock[1] * 1000 + math.floor(clock[2] / 1000))
local rooms = {unpack(ARGV, 4, #KEYS - 1)}

-- What a hash has of each room, and before that its mark, which is there unless the hash was deleted.
local function read(key, mark)
    local values = redis.call('HMGET', key, mark, unpack(rooms))
    return table.remove(values, 1), values
end
local since, records = read(KEYS[3], ':since')
local ends_of, tails = read(KEYS[2], ':epoch')
if not since or ends_of ~= epoch then
    return 'lost'
end

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

-- What is to be written of a room: where it ends, where the epoch began in it, whether it has begun.
local function plan(i, at)
    local tail_epoch, seq, begin = match(tails[i] or found(KEYS[i + 4]), '^(%d+)-(%d+) (%d+)$')
    -- What is not there of an earlier epoch is known to be lost.
    local is_there = tail_epoch == epoch
    if is_there and not tails[i] or tonumber(ARGV[at + 3]) > tonumber(seq) then
        return {'lost'}
    end
    return {'planned', seq, is_there and begin or seq, is_there}
end

-- What a script error says: a room that makes no sense is no reason to stop in the middle of the others.
local function refused(failure)
    return {'refused', type(failure) == 'table' and failure.err or tostring(failure)}
end

local replies, texts = {}, 0
for i = 1, #rooms do
    local at = #KEYS + (i - 1) * 5
    local is_done, reply = true, repeated(i, at)
    if not reply then
        is_done, reply = pcall(plan, i, at)
    end
    replies[i] = is_done and reply or refused(reply)
    if replies[i][1] == 'planned' then
        texts = texts + ARGV[at + 1]
    end
end

local new_records, new_tails, news = {}, {}, ARGV[3]
local function append(i, at, seq, begin, is_there)
    local first, last = format('%.0f', seq + 1), format('%.0f', seq + ARGV[at + 1])
    local id, count = epoch .. '-' .. last, format('%.0f', total + ARGV[at + 1])
    local words = {id, 'first', first, 'time', time, 'total', count, 'lines', ARGV[at + 2]}
    if is_there then
        table.insert(words, 1, 'NOMKSTREAM')
    end
    local added = redis.pcall('XADD', KEYS[i + 4], unpack(words))
    if not added or added.err and string.find(added.err, 'equal or smaller', 1, true) then
        return {'lost'}
    elseif added.err then
        return {'refused', added.err}
    end
    total = total + ARGV[at + 1]
    local n = #new_tails
    new_tails[n + 1], new_tails[n + 2] = rooms[i], id .. ' ' .. begin
    new_records[n + 1], new_records[n + 2] = rooms[i], table.concat({ARGV[at], first, time, count}, ' ')
    news = news .. ' ' .. rooms[i] .. ' ' .. last
    return {'kept', first, time, count}
end

if texts > 0 then
    -- Tries what is written below. If a room is refused, more are counted than there are: no harm.
    redis.call('HSET', KEYS[1], 'total', format('%.0f', total + texts))
    redis.call('HSET', KEYS[2], ':epoch', epoch)
    redis.call('HSET', KEYS[3], ':since', since)
end
for i = 1, #rooms do
    local reply = replies[i]
    if reply[1] == 'planned' then
        replies[i] = append(i, #KEYS + (i - 1) * 5, reply[2], reply[3], reply[4])
    end
end
if #new_tails > 0 then
    redis.call('HSET', KEYS[2], unpack(new_tails))
    redis.call('HSET', KEYS[3], unpack(new_records))
    local published = redis.pcall('PUBLISH', KEYS[4], news)
    if type(published) == 'table' then
        -- They look when they find that this is another one.
        redis.call('HSET', KEYS[1], 'untold', format('%.0f', total))
        replies[#replies + 1] = published.err
    end
end
-- What the writer does not have of what comes before.
for i = 1, #rooms do
    local at, reply = #KEYS + (i - 1) * 5, replies[i]
    local have, first = tonumber(ARGV[at + 3]), tonumber(reply[2])
    if reply[1] == 'kept' and have >= 0 and have < first - 1 then
        local before = format('%s-%.0f', epoch, first - 1)
        local between = redis.pcall('XRANGE', KEYS[i + 4], '(' .. ARGV[at + 4], before, 'COUNT', 16)
        reply[5] = not between.err and between or nil
    end
end
return replies
