local here = "roles/devpi_nginx/files/lua/"
local FakeNgx = dofile(here .. "spec/fake_ngx.lua")
local Pages = dofile(here .. "devpi/pages.lua")

local URI = "/root/up/+simple/some/"

local function pages(ngx)
    local told = {serial = "5", generation = 1}
    local serial = {known = function() return told.serial end, wait = function() return told.serial end}
    local writes = {now = function() return told.generation end}
    return Pages.new(ngx, {page_freshness = 2}, serial, writes), told
end

local function request(uri, headers)
    local var = {uri = uri, devpi_page_kind = "text/html", devpi_page_encoding = "gzip"}
    for name, value in pairs(headers or {}) do
        var[name] = value
    end
    return var
end

--- Let the page for the request of now pass by, in two pieces.
local function take(ngx, made, body, serial)
    ngx.var.request_method, ngx.var.upstream_http_date, ngx.var.devpi_generation = "GET", tostring(ngx.time()), "1"
    ngx.var.upstream_http_x_page_serial, ngx.ctx = serial, {}
    ngx.header = {["Content-Type"] = "text/html", ETag = "W/\"1\""}
    ngx.arg = {body:sub(1, 3), false}
    made:take()
    ngx.arg = {body:sub(4), true}
    made:take()
end

describe("A page in memory", function()
    local ngx, made, told
    before_each(function()
        ngx = FakeNgx.new(request(URI))
        made, told = pages(ngx)
    end)

    it("is returned while it is fresh", function()
        assert.equal("", made:small())
        take(ngx, made, "the page", "5")
        assert.equal("the page", made:small())
        assert.equal("W/\"1\"", ngx.var.devpi_etag)
    end)

    it("is good for a minute while the serial is that of the page", function()
        take(ngx, made, "the page", "5")
        ngx.clock.now = ngx.clock.now + 30
        assert.equal("the page", made:small())
        told.serial = "6"
        assert.equal("", made:small())
        told.serial = "5"
        ngx.clock.now = ngx.clock.now + 40
        assert.equal("", made:small())
    end)

    it("is not good where its serial or that of devpi is not known", function()
        take(ngx, made, "the page", nil)
        told.serial = nil
        ngx.clock.now = ngx.clock.now + 30
        assert.equal("", made:small())
    end)

    it("is forgotten after a write", function()
        take(ngx, made, "the page", "5")
        told.generation = 2
        assert.equal("", made:small())
    end)

    it("is another for each kind, encoding and path", function()
        take(ngx, made, "the page", "5")
        for name, value in pairs({devpi_page_kind = "other", devpi_page_encoding = "", uri = "/root/up/+simple/other/"}) do
            ngx.var = request(URI, {[name] = value})
            assert.equal("", made:small(), name)
        end
        ngx.var = request(URI, {http_user_agent = ("x"):rep(8000), http_accept = "text/html;q=" .. ("0"):rep(8000)})
        assert.equal("the page", made:small())
    end)

    it("is nobody's whom devpi has to answer", function()
        take(ngx, made, "the page", "5")
        ngx.var = request(URI, {devpi_page_kind = ""})
        assert.equal("", made:small())
        made:answer()
        assert.equal("@devpi", ngx.executed)
    end)

    it("comes from another worker", function()
        take(ngx, made, "the page\nand its second line", "5")
        local other = pages(ngx)
        other:answer()
        assert.equal("the page\nand its second line", table.concat(ngx.printed))
        assert.equal("the page\nand its second line", other:small())
    end)

    it("is one of a number of bytes, and of entries", function()
        for number = 1, 30000 do
            made:keep("key " .. number, {body = "", generation = 1, fresh_until = 0})
        end
        assert.is_true(made.entries <= 20000)
        for number = 1, 100 do
            made:keep("key " .. number, {body = ("x"):rep(1024 * 1024), generation = 1, fresh_until = 0})
        end
        assert.is_true(made.bytes <= 32 * 1024 * 1024)
        local bytes = 0
        for key, page in pairs(made.pages) do
            bytes = bytes + #key + #page.body
        end
        assert.is_true(bytes <= made.bytes)
    end)

    it("counts once where it takes the place of an older one", function()
        for _ = 1, 100 do
            made:keep("key", {body = ("x"):rep(1000), generation = 1, fresh_until = 0})
        end
        assert.equal(1, made.entries)
        assert.equal(1000 + #"key" + 1024, made.bytes)
    end)
end)
