--- nginx's API for Lua without nginx: time that passes by sleeping, dictionaries, timers that a test runs.
local FakeNgx = {}

local Dictionary = {}
Dictionary.__index = Dictionary

function Dictionary:get(key)
    local entry = self.entries[key]
    if entry and (not entry.until_then or entry.until_then > self.clock.now) then
        return entry.value
    end
end

function Dictionary:set(key, value, seconds)
    self.entries[key] = {value = value, until_then = seconds and self.clock.now + seconds}
    return true
end

function Dictionary:add(key, value, seconds)
    return self:get(key) == nil and self:set(key, value, seconds) or false
end

function Dictionary:incr(key, by, first)
    local value = (self:get(key) or first) + by
    self:set(key, value)
    return value
end

function Dictionary:delete(key)
    self.entries[key] = nil
end

--- A table that stands for `ngx`, and the clock, whose `on_sleep` is called with each sleep.
function FakeNgx.new(var)
    local clock = {now = 1000, on_sleep = function() end}
    local ngx = {
        var = var or {}, header = {}, ctx = {}, arg = {}, status = 200, printed = {}, timers = {}, clock = clock, ERR = 4,
        log = function() end,
        md5 = function(text) return "md5-" .. text end,
        escape_uri = function(text) return (text:gsub("[^%w._-]", function(c) return ("%%%02X"):format(c:byte()) end)) end,
        sha1_bin = function(text) return "sha1-" .. text end,
        encode_base64 = function(text) return text end,
        decode_base64 = function(text) return text end,
        worker = {pid = function() return 7 end},
        flush = function() return true end,
        parse_http_time = tonumber,
        shared = setmetatable({}, {__index = function(shared, name)
            shared[name] = setmetatable({entries = {}, clock = clock}, Dictionary)
            return shared[name]
        end}),
    }
    ngx.now = function() return clock.now end
    ngx.time = function() return math.floor(clock.now) end
    ngx.sleep = function(seconds)
        clock.now = clock.now + seconds
        assert(clock.now < 2000, "it waits for ever")
        clock.on_sleep()
    end
    ngx.print = function(text) ngx.headers_sent = true; table.insert(ngx.printed, text) end
    ngx.exit = function(status) ngx.exited = status end
    ngx.exec = function(location) ngx.executed = location end
    ngx.redirect = function(url) ngx.redirected = url end
    ngx.timer = {at = function(_, call, ...) table.insert(ngx.timers, {call = call, arguments = {...}}); return true end}
    ngx.req = {get_method = function() return ngx.method or "GET" end}
    return ngx
end

--- Run what a timer would.
function FakeNgx.run_timers(ngx, premature)
    local timers = ngx.timers
    ngx.timers = {}
    for _, timer in ipairs(timers) do
        timer.call(premature or false, unpack(timer.arguments))
    end
end

return FakeNgx
