local here = "roles/devpi_nginx/files/lua/"
local FakeNgx = dofile(here .. "spec/fake_ngx.lua")
local Origin = dofile(here .. "devpi/origin.lua")
local Upstream = dofile(here .. "devpi/upstream.lua")
local Writes = dofile(here .. "devpi/writes.lua")
local Serial = dofile(here .. "devpi/serial.lua")
local cjson = require("cjson.safe")

local PAGE = '{"files": [{"filename": "some-1.0.tar.gz"}]}'

--- Where `answers` has a path, that is the answer; a list has those of one request after another.
local function origin(uri, answers)
    local ngx = FakeNgx.new({uri = uri, http_accept = "text/html"})
    ngx.asked = {}
    ngx.location = {capture = function(path)
        table.insert(ngx.asked, path)
        local answer = answers[path] or {status = 502}
        if answer[1] then
            answer = #answer > 1 and table.remove(answer, 1) or answer[1]
        end
        return {status = answer.status or 200, body = answer.body or "", header = answer.header or {}}
    end}
    ngx.say = ngx.print
    return ngx, Origin.new(ngx, cjson, {known = function() return "5" end})
end

describe("A page of devpi", function()
    it("tells the serial that it was made at", function()
        local ngx, made = origin("/asked/u/i/+simple/some/", {
            ["/devpi/asked/u/i/+simple/some/"] = {body = PAGE, header = {["X-Devpi-Serial"] = "5"}},
        })
        made:answer()
        assert.equal("5", ngx.header["X-Page-Serial"])
        assert.equal(PAGE, table.concat(ngx.printed))
    end)

    it("is asked for again where it has no files, and is not kept", function()
        local ngx, made = origin("/asked/u/i/+simple/some/", {["/devpi/asked/u/i/+simple/some/"] = {body = "{}"}})
        made:answer()
        assert.equal("files", ngx.header["X-Page-Without"])
        assert.equal(2, select(2, table.concat(ngx.asked, " "):gsub("/devpi/asked/", "")))
    end)

    it("is a 502 where a mirror among all that is inherited fails, and only then", function()
        local answers = {
            ["/devpi/asked/u/i/+simple/some/"] = {status = 404},
            ["/index/u/i"] = {body = '{"result": {"custom_data": {"bases": []}, "bases": ["u/fine", "u/between"]}}'},
            ["/index/u/between"] = {body = '{"result": {"bases": ["u/i", "u/mirror"]}}'},
            ["/index/u/fine"] = {body = "no JSON"}, ["/index/u/mirror"] = {body = '{"result": {"bases": null}}'},
            ["/devpi/asked/u/fine/+simple/some/"] = {status = 404},
            ["/devpi/asked/u/between/+simple/some/"] = {status = 404},
            ["/devpi/asked/u/mirror/+simple/some/"] = {status = 502},
        }
        local ngx, made = origin("/asked/u/i/+simple/some/", answers)
        made:answer()
        assert.equal(502, ngx.exited)
        answers["/devpi/asked/u/mirror/+simple/some/"] = {status = 404}
        ngx, made = origin("/asked/u/i/+simple/some/", answers)
        made:answer()
        assert.equal(404, ngx.status)
    end)

    it("that is not there takes no room in the cache, but in place of one that was", function()
        local answers = {["/devpi/asked/u/i/+simple/none/"] = {status = 404}, ["/index/u/i"] = {body = "{}"}}
        local ngx, made = origin("/asked/u/i/+simple/none/", answers)
        made:answer()
        assert.equal("a page before it", ngx.header["X-Page-Without"])
        answers["/nothing-but-kept/u/i/+simple/none/"] = {status = 200}
        ngx, made = origin("/asked/u/i/+simple/none/", answers)
        made:answer()
        assert.is_nil(ngx.header["X-Page-Without"])
        -- And while devpi is down:
        ngx.var.uri = "/nothing/u/i/+simple/none/"
        made:answer_nothing()
        assert.equal(404, ngx.status)
        ngx.var.uri = "/nothing/u/i/+simple/unknown/"
        made:answer_nothing()
        assert.equal(502, ngx.status)
    end)
end)

describe("A request to devpi", function()
    local function ask(address, lines)
        local ngx, sent = FakeNgx.new(), {}
        ngx.socket = {tcp = function()
            return {
                settimeouts = function() end,
                connect = function(_, ...) sent.address = {...}; return true end,
                send = function(_, text) sent.text = text; return true end,
                receive = function() return table.remove(lines, 1) end,
            }
        end}
        local made = Upstream.new(ngx, {upstream = address, authority = "host"})
        return sent, made:get("/u/i/+f/a b\n", 5, {["X-Need"] = "read"})
    end

    it("goes to a port or a socket, and has one line for the path", function()
        local lines = {"HTTP/1.0 200 OK", "X-Devpi-Serial: 5 ", ""}
        local sent, status, headers = ask("127.0.0.1:3141", lines)
        assert.same({"127.0.0.1", 3141}, sent.address)
        assert.equal(200, status)
        assert.equal("5", headers["x-devpi-serial"])
        assert.equal("GET /u/i/%2Bf/a%20b%0A HTTP/1.0", sent.text:match("^[^\r]*"))
        assert.truthy(sent.text:find("\r\nX%-Need: read\r\n\r\n$"))
        assert.same({"unix:/run/x"}, (ask("unix:/run/x", {"HTTP/1.0 200 OK", ""})).address)
        assert.has_error(function() ask("unix:/run/x", {"nonsense"}) end)
        assert.has_error(function() ask("unix:/run/x", {"HTTP/1.0 200 OK"}) end)
    end)
end)

describe("Writes", function()
    it("are counted where something may have been written", function()
        local ngx = FakeNgx.new()
        local made = Writes.new(ngx)
        local before = made:now()
        for _, case in ipairs({{"GET", 200, 0}, {"POST", 403, 0}, {"POST", 200, 1}, {"PUT", 502, 2}, {"HEAD", 500, 2}}) do
            ngx.method, ngx.status = case[1], case[2]
            made:count()
            assert.equal(before + case[3], made:now())
        end
    end)
end)

describe("The serial", function()
    it("is asked for once, and waited for briefly", function()
        local ngx = FakeNgx.new()
        local devpi = {get = function() return 200, {["x-devpi-serial"] = "9"}, {close = function() end} end}
        local made = Serial.new(ngx, {page_freshness = 2}, devpi, Writes.new(ngx))
        local begin = ngx.now()
        assert.is_nil(made:wait())
        assert.is_true(ngx.now() - begin < 0.1)
        assert.equal(1, #ngx.timers)
        FakeNgx.run_timers(ngx)
        assert.equal("9", made:known())
        devpi.get = function() error("down") end
        ngx.clock.now = ngx.clock.now + 3
        made:wait()
        FakeNgx.run_timers(ngx)
        assert.equal("unknown", made:known())
    end)
end)
