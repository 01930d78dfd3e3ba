--- The last step to a page: ask devpi, and say of the answer what nginx has to know to keep it.
local Origin = {}
Origin.__index = Origin

local HEADERS = {"Content-Type", "Location", "WWW-Authenticate", "X-PyPI-Last-Serial"}
--- What devpi says in place of a page. While it is down, that is the answer for some minutes, and for as long as a page
-- is kept where there was one: a page that is no longer for everybody must not come back.
local REFUSALS = {[401] = true, [403] = true, [404] = true}
local REFUSED_SECONDS = 600

function Origin.new(ngx, json, serial)
    return setmetatable({ngx = ngx, json = json, serial = serial, refused = ngx.shared.devpi_refused}, Origin)
end

function Origin:ask(step, index, project)
    return self.ngx.location.capture("/devpi/" .. step .. "/" .. index .. project)
end

local function lists_no_file(page)
    return page.status == 200 and not page.body:find("<a ", 1, true) and not page.body:find('"filename"', 1, true)
end

--- What an index inherits, as devpi says.
function Origin:bases(index)
    local about = self.json.decode(self.ngx.location.capture("/index/" .. index).body)
    local result = type(about) == "table" and about.result
    local bases = type(result) == "table" and result.bases
    return type(bases) == "table" and bases or {}
end

--- Where a mirror that the index inherits gives no answer, devpi goes on as if it had no such project. Asked for the page
-- of the mirror itself, it says what is wrong.
function Origin:a_mirror_fails(step, index, project, asked)
    for _, base in ipairs(self:bases(index)) do
        if not asked[base] then
            asked[base] = true
            if self:ask(step, base, project).status >= 500 or self:a_mirror_fails(step, base, project, asked) then
                return true
            end
        end
    end
    return false
end

--- What stands for a page in the dictionary of refusals, whatever the length of its path.
function Origin:key(path)
    return self.ngx.md5((self.ngx.var.http_accept or "") .. " " .. path)
end

--- Answer the request of now.
function Origin:answer()
    local ngx = self.ngx
    local step, path = ngx.var.uri:match("^/(%l+)(/.+)$")
    local index, project = path:match("^/([^/]+/[^/]+)(/.*)$")
    local serial_before = self.serial:known()
    local page = self:ask(step, index, project)
    -- The first request for a project of a mirror may come back without its files: ask again, and keep no such page.
    if lists_no_file(page) then
        page = self:ask(step, index, project)
    end
    local without_files = lists_no_file(page)
    if page.truncated or (page.status == 404 or without_files) and self:a_mirror_fails(step, index, project, {}) then
        return ngx.exit(502)
    end
    ngx.status = page.status
    for _, name in ipairs(HEADERS) do
        ngx.header[name] = page.header[name]
    end
    ngx.header["Vary"] = "Accept, Accept-Encoding"
    if without_files then
        ngx.header["X-Page-Without"] = "files"
    elseif page.status == 200 then
        ngx.header["ETag"] = 'W/"' .. ngx.md5(page.body) .. '"'
        -- The serial is that of the page if it was so before: a request that commits tells its own, and may have read
        -- the page before another commit.
        if page.header["X-Devpi-Serial"] == serial_before then
            ngx.header["X-Page-Serial"] = serial_before
        end
    elseif REFUSALS[page.status] then
        self.refused:set(self:key(path), page.status, REFUSED_SECONDS)
        -- It takes the place of a page, and no room where there was none.
        if ngx.location.capture("/nothing-but-kept" .. path).status ~= 200 then
            ngx.header["X-Page-Without"] = "a page before it"
        end
    end
    -- Clients may keep a page, and must ask each time whether it is still the newest: they send its ETag.
    ngx.header["Cache-Control"] = "no-cache"
    ngx.print(page.body)
end

--- Answer for a page that is not kept, while devpi gives none.
function Origin:answer_nothing()
    local ngx = self.ngx
    ngx.status = self.refused:get(self:key(ngx.var.uri:match("^/[^/]+(/.*)$"))) or 502
    ngx.header["X-Page-Without"] = "an answer"
    ngx.say("The index gives no answer.")
end

return Origin
