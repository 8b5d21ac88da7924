#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace mynah {

// A request of HTTP/1.1 without a body [RFC 9112 3].
struct HttpRequest {
    std::string method, target;
    std::map<std::string, std::string> headers;  // names in lower case

    std::string header(const std::string& name) const {
        const auto at = headers.find(name);
        return at == headers.end() ? std::string() : at->second;
    }
};

// The request that `text` is, up to and with its empty line; nothing: it is not one.
std::optional<HttpRequest> parse_http_request(std::string_view text);

// Serves the files of a web page below one directory, and agrees to WebSockets. A page from
// elsewhere that the operator's browser shows must not reach the machine: what comes from another
// origin, or by another name than an address or "localhost", is refused.
class WebPage {
  public:
    struct Answer {
        std::string bytes;        // to be sent
        bool web_socket = false;  // from then on
    };
    static constexpr size_t kFileMost = 8 << 20;

    explicit WebPage(std::string root) : root_(std::move(root)) {}
    Answer answer(const HttpRequest& request) const;

  private:
    Answer file(std::string_view target) const;

    const std::string root_;
};

}  // namespace mynah
