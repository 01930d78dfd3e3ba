local here = "roles/devpi_nginx/files/lua/"
local FakeNgx = dofile(here .. "spec/fake_ngx.lua")
local Judge = dofile(here .. "devpi/judge.lua")

local ALICE = "Basic YWxpY2U="

--- A judge, the headers of each question to devpi, and what it says: a status, or a function that raises an error.
local function judge(settings)
    local ngx = FakeNgx.new()
    local devpi = {asked = {}, says = 204}
    function devpi.get(_, path, _, headers)
        assert.equal("/+wheelhouse/auth", path)
        table.insert(devpi.asked, headers)
        if type(devpi.says) == "function" then
            devpi.says()
        end
        return devpi.says, {}, {close = function() end}
    end
    local made = Judge.new(ngx, {
        patience = 10, login_grace = settings.grace or 600, login_rate = 10, private = settings.private ~= false,
        login_page = settings.login_page or false, authority = "host",
    }, devpi)
    return ngx, made, devpi
end

--- Make it the request of now. Returns what nginx would do with it.
local function request(ngx, made, need, uri, var, otherwise)
    ngx.var = {request_uri = uri, request_method = "GET", remote_addr = "10.0.0.1", devpi_browser = "", devpi_let_in = ""}
    for name, value in pairs(var or {}) do
        ngx.var[name] = value
    end
    ngx.exited, ngx.executed, ngx.redirected, ngx.header = nil, nil, nil, {}
    made:check(need, otherwise)
    local ended = ngx.exited or ngx.executed or ngx.redirected
    ngx.status = type(ended) == "number" and ended or 200
    made:remember()
    return ended
end

local function down()
    error("connection refused")
end

describe("The judge", function()
    it("asks devpi, and believes its answer for a second", function()
        local ngx, made, devpi = judge({})
        assert.is_nil(request(ngx, made, "read", "/u/i/+simple/some/", {http_authorization = ALICE}))
        assert.same({
            ["X-Need"] = "read", ["X-Method"] = "GET", ["X-Uri"] = "/u/i/+simple/some/", ["X-Real-IP"] = "10.0.0.1",
            ["X-Login-Rate"] = "10", ["Authorization"] = ALICE,
        }, devpi.asked[1])
        devpi.says = 403
        ngx.clock.now = ngx.clock.now + 0.9
        assert.is_nil(request(ngx, made, "read", "/u/i/+simple/other/", {http_authorization = ALICE}))
        assert.equal(1, #devpi.asked)
        ngx.clock.now = ngx.clock.now + 0.1
        assert.equal(403, request(ngx, made, "read", "/u/i/+simple/other/", {http_authorization = ALICE}))
    end)

    it("counts the second from the question", function()
        local ngx, made, devpi = judge({})
        local get = devpi.get
        devpi.get = function(...) ngx.clock.now = ngx.clock.now + 0.8; return get(...) end
        request(ngx, made, "read", "/u/i/")
        ngx.clock.now = ngx.clock.now + 0.3
        request(ngx, made, "read", "/u/i/")
        assert.equal(2, #devpi.asked)
    end)

    it("asks anew for another login, need, index and way to write", function()
        local ngx, made, devpi = judge({login_page = true})
        request(ngx, made, "read", "/u/i/")
        for number, case in ipairs({
            {"read", "/u/i/", {http_authorization = ALICE}}, {"read", "/u/i/", {http_x_devpi_auth = ALICE}},
            {"read", "/u/i/", {cookie_auth_tkt = ALICE}}, {"login", "/u/i/"}, {"read", "/u/j/"}, {"read", "/+search?x"},
            {"read", "/u"}, {"write", "/u/i/", {request_method = "POST"}},
            {"write", "/u/i/", {request_method = "GET", http_authorization = ALICE}},
            {"write", "/u/i/", {request_method = "POST", http_authorization = ALICE}},
        }) do
            request(ngx, made, unpack(case))
            assert.equal(number + 1, #devpi.asked)
        end
        assert.equal("auth_tkt=" .. ALICE, devpi.asked[4].Cookie)
        request(ngx, made, "write", "/u/k/", {request_method = "POST", cookie_auth_tkt = ALICE})
        assert.is_nil(devpi.asked[12].Cookie)
    end)

    it("knows an index by its plain spelling alone", function()
        assert.equal("/u/i", Judge.subject("/u/i/+simple/some/?x=/../"))
        assert.equal("/u/i", Judge.subject("/u/i"))
        for _, path in ipairs({
            "/u//i/x", "/u/i//x", "/u/i/../j/x", "/u/./i", "/u/i/..", "/u/%69/x", "/u/i;x/y", "/u/i\\x", "/u/i/%2e%2e/j",
            "/u/+simple", "/+search", "/", "/u", "/u/i/\195\164",
        }) do
            assert.equal(path, Judge.subject(path))
        end
    end)

    it("tells tools how to log in, and sends browsers to the page for it", function()
        local ngx, made, devpi = judge({login_page = true})
        devpi.says = 401
        assert.equal(401, request(ngx, made, "read", "/u/i/"))
        assert.equal('Basic realm="devpi"', ngx.header["WWW-Authenticate"])
        assert.equal("https://host/+login?goto_url=%2Fu%2Fi%2F", request(ngx, made, "read", "/u/i/", {devpi_browser = "yes"}))
        assert.is_nil(ngx.header["WWW-Authenticate"])
        assert.equal("@other", request(ngx, made, "login", "/u/i/", {}, "@other"))
    end)

    it("keeps no refusal of guesses, which is for an address", function()
        local ngx, made, devpi = judge({})
        devpi.says = 429
        assert.equal(429, request(ngx, made, "read", "/u/i/", {http_authorization = ALICE}))
        devpi.says = 204
        ngx.clock.now = ngx.clock.now + 0.1
        assert.is_nil(request(ngx, made, "read", "/u/i/", {http_authorization = ALICE}))
    end)

    for _, says in ipairs({200, 302, 404, 500, 502}) do
        it("takes " .. says .. " for no answer", function()
            local ngx, made, devpi = judge({})
            devpi.says = says
            assert.equal(502, request(ngx, made, "read", "/u/i/"))
        end)
    end

    it("lets in whom devpi let in of late while it is down, and nobody else", function()
        local ngx, made, devpi = judge({})
        request(ngx, made, "read", "/u/i/", {http_authorization = ALICE})
        devpi.says = down
        ngx.clock.now = ngx.clock.now + 599
        assert.is_nil(request(ngx, made, "read", "/u/i/", {http_authorization = ALICE}))
        assert.equal(502, request(ngx, made, "read", "/u/i/"))
        assert.equal(502, request(ngx, made, "read", "/u/j/", {http_authorization = ALICE}))
    end)

    it("counts the grace from what devpi said", function()
        local ngx, made, devpi = judge({})
        request(ngx, made, "read", "/u/i/", {http_authorization = ALICE})
        devpi.says = down
        for _ = 1, 3 do
            ngx.clock.now = ngx.clock.now + 300
            request(ngx, made, "read", "/u/i/", {http_authorization = ALICE})
        end
        assert.equal(502, request(ngx, made, "read", "/u/i/", {http_authorization = ALICE}))
    end)

    it("knows no grace where it is off, and none for whom devpi refused since", function()
        local ngx, made, devpi = judge({grace = 0})
        request(ngx, made, "read", "/u/i/")
        devpi.says = down
        ngx.clock.now = ngx.clock.now + 2
        assert.equal(502, request(ngx, made, "read", "/u/i/"))
        ngx, made, devpi = judge({})
        request(ngx, made, "read", "/u/i/")
        local let_in = ngx.var.devpi_let_in
        devpi.says = 403
        ngx.clock.now = ngx.clock.now + 2
        request(ngx, made, "read", "/u/i/")
        -- A download from before ends now.
        ngx.var.devpi_let_in, ngx.status = let_in, 200
        made:remember()
        devpi.says = down
        ngx.clock.now = ngx.clock.now + 2
        assert.equal(502, request(ngx, made, "read", "/u/i/"))
        -- And devpi lets in again.
        devpi.says = 204
        ngx.clock.now = ngx.clock.now + 2
        request(ngx, made, "read", "/u/i/")
        devpi.says = down
        ngx.clock.now = ngx.clock.now + 2
        assert.is_nil(request(ngx, made, "read", "/u/i/"))
    end)

    it("does not remember those who got nothing", function()
        local ngx, made = judge({})
        for number = 1, 100 do
            request(ngx, made, "read", "/u/i" .. number .. "/")
            for key in pairs(made.let_in.entries) do
                made.let_in:delete(key)
            end
            ngx.status = 404
            made:remember()
        end
        assert.same({}, made.let_in.entries)
    end)

    it("asks once, however many wait", function()
        local ngx, made, devpi = judge({})
        local got = {}
        local get = devpi.get
        devpi.get = function(...)
            local other = coroutine.create(function() table.insert(got, made:status("read")) end)
            ngx.clock.on_sleep = function() if coroutine.running() then coroutine.yield() end end
            ngx.var = {request_uri = "/u/i/", request_method = "GET", devpi_let_in = ""}
            coroutine.resume(other)
            got.other = other
            return get(...)
        end
        request(ngx, made, "read", "/u/i/")
        coroutine.resume(got.other)
        assert.equal(1, #devpi.asked)
        assert.same(204, got[1])
    end)

    it("is not asked about reading without a login where nothing is private", function()
        local ngx, made, devpi = judge({private = false})
        request(ngx, made, "write", "/u/i/")
        assert.equal(0, #devpi.asked)
        request(ngx, made, "write", "/u/i/", {http_authorization = ALICE})
        request(ngx, made, "write", "/u/i/", {request_method = "POST"})
        request(ngx, made, "login", "/")
        assert.equal(3, #devpi.asked)
    end)
end)
