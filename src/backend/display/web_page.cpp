#include "backend/display/web_page.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <climits>
#include <cstdlib>

#include "backend/display/web_socket.h"
#include "host/fd.h"

namespace mynah {
namespace {

// What noVNC's page is opened with when no page is named.
constexpr const char* kStartPage = "/vnc.html?autoconnect=true&resize=scale";

std::string lower(std::string_view text) {
    std::string result(text);
    for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return result;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

WebPage::Answer plain(const char* status, std::string_view body, const std::string& more = "") {
    return {
        fmt::format("HTTP/1.1 {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n"
                    "Connection: close\r\n{}\r\n{}",
                    status, body.size(), more, body)};
}

const char* content_type(std::string_view path) {
    struct Type {
        std::string_view end;
        const char* name;
    };
    constexpr std::array<Type, 12> kTypes{{{".html", "text/html; charset=utf-8"},
                                           {".js", "text/javascript"},
                                           {".css", "text/css"},
                                           {".json", "application/json"},
                                           {".svg", "image/svg+xml"},
                                           {".png", "image/png"},
                                           {".ico", "image/x-icon"},
                                           {".woff", "font/woff"},
                                           {".woff2", "font/woff2"},
                                           {".ttf", "font/ttf"},
                                           {".oga", "audio/ogg"},
                                           {".mp3", "audio/mpeg"}}};
    for (const Type& type : kTypes) {
        if (path.ends_with(type.end)) return type.name;
    }
    return "application/octet-stream";
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// The path of a target, its percent signs decoded; nothing: it is none.
std::optional<std::string> decode_path(std::string_view target) {
    target = target.substr(0, target.find_first_of("?#"));
    std::string path;
    for (size_t i = 0; i < target.size(); ++i) {
        char c = target[i];
        if (c == '%') {
            if (i + 2 >= target.size()) return std::nullopt;
            const int high = hex_digit(target[i + 1]), low_digit = hex_digit(target[i + 2]);
            if (high < 0 || low_digit < 0) return std::nullopt;
            c = static_cast<char>(high * 16 + low_digit);
            i += 2;
        }
        if (c == '\0') return std::nullopt;
        path.push_back(c);
    }
    if (path.empty() || path[0] != '/') return std::nullopt;
    return path;
}

// A file below the root, wherever links lead; nothing: there is none, or it lies elsewhere.
std::optional<std::string> read_below(const std::string& root, const std::string& path) {
    std::array<char, PATH_MAX> real_root, real;
    if (realpath(root.c_str(), real_root.data()) == nullptr ||
        realpath((root + path).c_str(), real.data()) == nullptr) {
        return std::nullopt;
    }
    const std::string below = std::string(real_root.data()) + "/";
    if (!std::string_view(real.data()).starts_with(below)) return std::nullopt;
    const Fd fd(open(real.data(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
    struct stat status {};
    if (!fd.valid() || fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
        static_cast<uint64_t>(status.st_size) > WebPage::kFileMost) {
        return std::nullopt;
    }
    std::string content(static_cast<size_t>(status.st_size), '\0');
    size_t done = 0;
    while (done < content.size()) {
        const ssize_t got = read(fd.get(), content.data() + done, content.size() - done);
        if (got <= 0) break;
        done += static_cast<size_t>(got);
    }
    content.resize(done);
    return content;
}

// "host[:port]" by which no name server could lead a browser here.
bool is_trusted_host(std::string_view host) {
    if (host.starts_with('[')) return host.find(']') != std::string_view::npos;  // IPv6
    const std::string name(host.substr(0, host.rfind(':')));
    in_addr address;
    return lower(name) == "localhost" || inet_pton(AF_INET, name.c_str(), &address) == 1;
}

bool is_own_origin(const HttpRequest& request) {
    const std::string host = lower(request.header("host"));
    if (!is_trusted_host(host)) return false;
    const std::string origin = lower(request.header("origin"));
    return origin.empty() || origin == "http://" + host || origin == "https://" + host;
}

bool has_token(const std::string& list, std::string_view token) {
    const std::string text = lower(list);
    size_t begin = 0;
    while (begin <= text.size()) {
        const size_t end = std::min(text.find(',', begin), text.size());
        if (trim(std::string_view(text).substr(begin, end - begin)) == token) return true;
        begin = end + 1;
    }
    return false;
}

// [RFC 6455 4.2]
WebPage::Answer agree(const HttpRequest& request) {
    const std::string key = request.header("sec-websocket-key");
    if (key.empty() || request.header("sec-websocket-version") != "13") {
        return plain("426 Upgrade Required", "", "Sec-WebSocket-Version: 13\r\n");
    }
    std::string protocol;
    if (has_token(request.header("sec-websocket-protocol"), "binary")) {
        protocol = "Sec-WebSocket-Protocol: binary\r\n";
    }
    return {fmt::format("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                        "Connection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n{}\r\n",
                        WebSocket::accept_key(key), protocol),
            true};
}

}  // namespace

std::optional<HttpRequest> parse_http_request(std::string_view text) {
    HttpRequest request;
    const size_t line_end = text.find("\r\n");
    if (line_end == std::string_view::npos) return std::nullopt;
    const std::string_view line = text.substr(0, line_end);
    const size_t first = line.find(' '), last = line.rfind(' ');
    if (first == std::string_view::npos || first == last) return std::nullopt;
    if (!line.substr(last + 1).starts_with("HTTP/1.")) return std::nullopt;
    request.method = line.substr(0, first);
    request.target = line.substr(first + 1, last - first - 1);
    text.remove_prefix(line_end + 2);
    for (;;) {
        const size_t end = text.find("\r\n");
        if (end == std::string_view::npos) return std::nullopt;
        const std::string_view field = text.substr(0, end);
        if (field.empty()) return request;
        const size_t colon = field.find(':');
        if (colon == std::string_view::npos || colon == 0) return std::nullopt;
        request.headers[lower(field.substr(0, colon))] = trim(field.substr(colon + 1));
        text.remove_prefix(end + 2);
    }
}

WebPage::Answer WebPage::file(std::string_view target) const {
    const std::optional<std::string> path = decode_path(target);
    if (!path) return plain("400 Bad Request", "bad path\n");
    if (*path == "/") {
        return plain("302 Found", "", fmt::format("Location: {}\r\n", kStartPage));
    }
    const std::optional<std::string> content = read_below(root_, *path);
    if (!content) return plain("404 Not Found", "not found\n");
    return {
        fmt::format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\n"
                    "Cache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n"
                    "Connection: close\r\n\r\n{}",
                    content_type(*path), content->size(), *content)};
}

WebPage::Answer WebPage::answer(const HttpRequest& request) const {
    if (request.method != "GET") return plain("405 Method Not Allowed", "", "Allow: GET\r\n");
    if (!is_own_origin(request)) return plain("403 Forbidden", "another origin\n");
    if (lower(request.header("upgrade")) == "websocket") return agree(request);
    return file(request.target);
}

}  // namespace mynah
