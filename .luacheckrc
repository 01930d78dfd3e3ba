std = "ngx_lua"
max_line_length = 126
files["roles/devpi_nginx/files/lua/spec"] = {std = "+busted"}
