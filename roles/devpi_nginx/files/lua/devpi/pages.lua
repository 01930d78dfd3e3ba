--- Pages of projects in memory: a table in each worker, and a dictionary by which the workers tell each other.
--
-- A page is good for as long as the cache on disk calls it fresh, and then while devpi's serial is still the one that the
-- page was made at: nobody wrote anything, so devpi need not make it again. Not for longer than a minute, because what
-- time changes has no serial (a mirror that devpi asks again).
local Pages = {}
Pages.__index = Pages

--- Bytes and entries of a worker's table, which begins anew when it has more. An entry counts with what Lua needs for it.
local MOST_BYTES, MOST_ENTRIES, ENTRY = 32 * 1024 * 1024, 20000, 1024
--- Bytes of a page that nginx returns itself: what fits into the buffer of a connection.
local SMALL = 65536
local UNCHANGED = 60
--- What the workers tell each other of a page, each in a line before its bytes.
local NAMES = {"type", "encoding", "etag", "serial", "made_at", "generation", "fresh_until"}

function Pages.new(ngx, settings, serial, writes)
    return setmetatable({
        ngx = ngx, memory = ngx.shared.devpi_memory, serial = serial, writes = writes, freshness = settings.page_freshness,
        pages = {}, bytes = 0, entries = 0,
    }, Pages)
end

--- What a page depends on, in the words of the vhost: its kind, its encoding and the path as nginx made it plain.
-- nil for a request that devpi has to answer.
function Pages:key()
    local var = self.ngx.var
    local kind = var.devpi_page_kind
    return kind ~= "" and kind .. " " .. var.devpi_page_encoding .. " " .. var.uri or nil
end

function Pages:is_good(page, generation, serial)
    if not page or page.generation ~= generation then
        return false
    end
    local now = self.ngx.time()
    return now <= page.fresh_until or (serial ~= nil and serial == page.made_at and now <= page.fresh_until + UNCHANGED)
end

function Pages:keep(key, page)
    local old = self.pages[key]
    local size = #page.body + #key + ENTRY
    if not old and (self.bytes + size > MOST_BYTES or self.entries >= MOST_ENTRIES) then
        self.pages, self.bytes, self.entries = {}, 0, 0
    end
    self.bytes = self.bytes + size - (old and #old.body + #key + ENTRY or 0)
    self.entries = self.entries + (old and 0 or 1)
    self.pages[key] = page
end

--- Tell the other workers.
function Pages:share(key, page)
    local lines = {}
    for number, name in ipairs(NAMES) do
        lines[number] = page[name] or ""
    end
    lines[#NAMES + 1] = page.body
    self.memory:set("page " .. key, table.concat(lines, "\n"))
end

--- The page of another worker, or nil.
function Pages:shared(key)
    local lines = self.memory:get("page " .. key)
    if not lines then
        return nil
    end
    local page, from = {}, 1
    for _, name in ipairs(NAMES) do
        local to = lines:find("\n", from, true)
        page[name] = to > from and lines:sub(from, to - 1) or nil
        from = to + 1
    end
    page.body = lines:sub(from)
    page.generation, page.fresh_until = tonumber(page.generation), tonumber(page.fresh_until)
    return page
end

--- A page for the request of now, or nil.
function Pages:find(may_wait)
    local key = self:key()
    if not key then
        return nil
    end
    local page, generation = self.pages[key], self.writes:now()
    if self:is_good(page, generation) then
        return page
    end
    local serial
    if may_wait then
        serial = self.serial:wait()
    else
        serial = self.serial:known()
    end
    if self:is_good(page, generation, serial) then
        return page
    end
    page = may_wait and self:shared(key)
    if not self:is_good(page, generation, serial) then
        return nil
    end
    self:keep(key, page)
    return page
end

--- The bytes of a page that nginx returns itself, which costs less than Lua and less than a file; or nothing. The
-- headers that depend on the page come from variables: nginx leaves out one that is empty.
function Pages:small()
    local var = self.ngx.var
    local page = self:find(false)
    -- nginx compares the ETag of an answer from Lua, and not that of add_header.
    if not page or #page.body > SMALL or var.http_if_none_match then
        return ""
    end
    var.devpi_type = page.type
    var.devpi_encoding = page.encoding
    var.devpi_etag = page.etag
    var.devpi_serial = page.serial
    return page.body
end

--- Answer with a page that is in memory, or pass the request on.
function Pages:answer()
    local ngx = self.ngx
    local page = self:find(true)
    if not page then
        return ngx.exec(self:key() and "@page" or "@devpi")
    end
    local header = ngx.header
    header["Content-Type"] = page.type
    header["Content-Length"] = #page.body
    header["Content-Encoding"] = page.encoding
    header["ETag"] = page.etag
    -- While it is empty, add_header takes the ETag away.
    ngx.var.devpi_etag = page.etag
    header["X-PyPI-Last-Serial"] = page.serial
    ngx.print(page.body)
end

--- Take a page that comes from the cache on disk into memory, until the second in which that has to ask for a new one.
function Pages:take()
    local ngx = self.ngx
    local var = ngx.var
    if ngx.status ~= 200 or var.request_method ~= "GET" or var.upstream_http_x_page_without
            or var.upstream_http_x_page_from then
        return
    end
    local fresh_until = ngx.parse_http_time(var.upstream_http_date) + self.freshness
    if ngx.time() > fresh_until then
        return
    end
    local parts = ngx.ctx.parts or {}
    ngx.ctx.parts = parts
    parts[#parts + 1] = ngx.arg[1]
    if not ngx.arg[2] then
        return
    end
    local page = {
        body = table.concat(parts), type = ngx.header["Content-Type"], encoding = ngx.header["Content-Encoding"],
        etag = ngx.header["ETag"], serial = ngx.header["X-PyPI-Last-Serial"],
        made_at = var.upstream_http_x_page_serial, generation = tonumber(var.devpi_generation), fresh_until = fresh_until,
    }
    local key = self:key()
    if key then
        self:keep(key, page)
        self:share(key, page)
    end
end

return Pages
