--- One download of a release file that devpi has yet to fetch, for all clients that ask for it.
--
-- A timer writes what devpi sends into a file, and each client gets it as it comes, but for its last piece: devpi knows
-- only at the end whether the bytes are those of the file's hash, and puts it in place or hangs up. So a client gets the
-- whole of a file that devpi has verified, or a broken connection, whoever began the download and hung up.
--
-- In the dictionary, the file has a line for as long as the download goes on: its name, and its length once that is
-- known. What came of a download stands under its name.
local Downloads = {}
Downloads.__index = Downloads

--- Bytes that are read at once, and that are held back.
local PIECE, HELD_BACK = 65536, 16384
--- Seconds that a verdict stands: of a whole file, for those who are slow to take what comes before its last piece
-- (nginx gives them its send_timeout, 60); of others, for those who look 50 times a second.
local WHOLE_STANDS, OTHER_STANDS = 120, 2

function Downloads.new(ngx, settings, devpi)
    return setmetatable({
        ngx = ngx, entries = ngx.shared.devpi_downloads, devpi = devpi, open = io.open, remove = os.remove,
        parts = settings.parts_directory, files = settings.files_directory, timeout = settings.timeout, started = 0,
    }, Downloads)
end

function Downloads:part_of(name)
    return self.parts .. "/" .. name .. ".part"
end

function Downloads:is_in_place(uri)
    local file = self.open(self.files .. uri, "rb")
    return file and file:close() or false
end

--- An entry that is not renewed in time tells that nobody downloads any more.
function Downloads:renew(key, name, length)
    self.entries:set(key, name .. " " .. (length or ""), self.timeout + 10)
end

--- The name of the download that goes on, and its length if that is known.
function Downloads:current(key)
    local name, length = (self.entries:get(key) or ""):match("^(%S+) (%d*)$")
    return name, tonumber(length)
end

--- Write what devpi sends. Returns "whole", "failed", or "passed" where devpi has something else to say to each client.
function Downloads:receive(uri, key, name)
    local status, headers, socket = self.devpi:get(uri, self.timeout)
    local length = tonumber(headers["content-length"])
    if status ~= 200 or not length then
        socket:close()
        return status >= 500 and "failed" or "passed"
    end
    local file = assert(self.open(self:part_of(name), "wb"))
    local received, problem = 0, nil
    while not problem do
        self:renew(key, name, length)
        local bytes
        bytes, problem = socket:receiveany(PIECE)
        received = received + #(bytes or "")
        if bytes and received <= length then
            local written
            written, problem = file:write(bytes)
            problem = problem or not (written and file:flush()) and "cannot write"
        end
    end
    file:close()
    socket:close()
    if problem ~= "closed" then
        error(problem, 0)
    end
    -- devpi hangs up when the file is in place, or when it is not what it should be.
    return received == length and self:is_in_place(uri) and "whole" or "failed"
end

--- Runs in a timer.
function Downloads.run(premature, self, uri, key, name)
    local done, verdict = not premature, "nginx ends"
    if done then
        done, verdict = pcall(self.receive, self, uri, key, name)
    end
    if not done then
        self.ngx.log(self.ngx.ERR, "download of ", uri, ": ", verdict)
        verdict = "failed"
    end
    self.entries:set(name, verdict, verdict == "whole" and WHOLE_STANDS or OTHER_STANDS)
    self.entries:delete(key)
    self.remove(self:part_of(name))
end

--- Join the download of a file, or begin one. Returns its name, or nil where nginx cannot.
function Downloads:join(uri, key)
    local ngx = self.ngx
    for _ = 1, 3 do
        self.started = self.started + 1
        local name = ("%s.%d.%d.%d"):format(key, ngx.now() * 1000, ngx.worker.pid(), self.started)
        if self.entries:add(key, name .. " ", self.timeout + 10) then
            if ngx.timer.at(0, Downloads.run, self, uri, key, name) then
                return name
            end
            self.entries:delete(key)
            return nil
        end
        local current = self:current(key)
        if current then
            return current
        end
    end
end

--- A small file is there in some milliseconds, and a large one is looked at 50 times a second.
function Downloads:rest(pause)
    self.ngx.sleep(pause)
    return math.min(2 * pause, 0.02)
end

--- Wait until the length is known, or the download is over. Returns the length and the verdict.
function Downloads:wait(key, name)
    local pause = 0.002
    while true do
        local current, length = self:current(key)
        if current ~= name then
            return nil, self.entries:get(name)
        elseif length then
            return length
        end
        pause = self:rest(pause)
    end
end

--- Send the file as it comes. Returns whether all of it was sent.
function Downloads:send(file, key, name, length)
    local ngx, sent, pause = self.ngx, 0, 0.002
    while sent < length do
        -- In this order: what came of it is there before it is over.
        local goes_on = self:current(key) == name
        local whole = self.entries:get(name) == "whole"
        local ready = whole and length or length - HELD_BACK
        local bytes = sent < ready and file:read(math.min(PIECE, ready - sent))
        if bytes then
            sent, pause = sent + #bytes, 0.002
            ngx.print(bytes)
            if not ngx.flush(true) then
                return false
            end
        elseif whole or not goes_on then
            return false
        else
            -- This forgets that the end was reached.
            file:seek("cur")
            pause = self:rest(pause)
        end
    end
    return true
end

--- Answer the request of now.
function Downloads:answer()
    local ngx = self.ngx
    local uri = ngx.var.uri
    -- Whatever the length of the path is, that of what is kept of it is the same.
    local key = ngx.md5(uri)
    local name = self:join(uri, key)
    if not name then
        return ngx.exit(503)
    end
    local length, verdict = self:wait(key, name)
    if verdict == "passed" then
        return ngx.exec("@file_of_devpi")
    end
    local file = self.open(self:part_of(name), "rb") or self.open(self.files .. uri, "rb")
    if not file then
        return ngx.exit(502)
    end
    if not length then
        length = file:seek("end")
        file:seek("set")
    end
    ngx.header["Content-Length"] = length
    local sent = ngx.req.get_method() == "HEAD" or self:send(file, key, name, length)
    file:close()
    if not sent then
        if ngx.headers_sent then
            return ngx.exit(444)
        end
        ngx.header["Content-Length"] = nil
        return ngx.exit(502)
    end
end

return Downloads
