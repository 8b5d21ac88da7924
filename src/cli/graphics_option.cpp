#include "cli/graphics_option.h"

#include <fmt/core.h>

#include <array>
#include <charconv>

#include "cli/nearest_name.h"
#include "cli/option_value.h"

namespace mynah {
namespace {

constexpr std::array<std::string_view, 6> kKeys{"listen", "port", "socket",
                                                "web",    "password", "websocket"};

Result<uint16_t> parse_port(const ValuePart& part) {
    uint16_t port = 0;
    const char* end = part.value.data() + part.value.size();
    const auto [stop, error] = std::from_chars(part.value.data(), end, port);
    if (error != std::errc{} || stop != end)
        return Error(fmt::format("{}={}: expected a port, 0 to 65535", part.key, part.value));
    return port;
}

Result<void> apply_part(GraphicsConfig& graphics, const ValuePart& part) {
    if (part.key == "listen") {
        graphics.listen = part.value;
    } else if (part.key == "port") {
        graphics.port = TRY(parse_port(part));
    } else if (part.key == "socket") {
        graphics.socket = part.value;
    } else if (part.key == "password") {
        graphics.password = part.value;
    } else if (part.key == "web" || part.key == "websocket") {
        if (const auto on = parse_switch(part.value)) {
            graphics.web = on.value();
        } else {
            graphics.web_port = TRY(parse_port(part));
            graphics.web = true;
        }
    } else {
        return Error(fmt::format(
            "unknown part '{}'{}; expected listen=, port=, socket=, web= or password=",
            part.key.empty() ? part.value : part.key, did_you_mean(part.key, kKeys)));
    }
    return {};
}

}  // namespace

Result<void> apply_graphics_option(RunOptions& options, std::string_view value) {
    GraphicsConfig graphics;
    const std::vector<ValuePart> parts = split_value(value);
    if (!parts.front().key.empty() || (parts.front().value != "none" && parts.front().value != "vnc"))
        return Error("expected none or vnc");
    graphics.vnc = parts.front().value == "vnc";
    if (!graphics.vnc && parts.size() > 1) return Error("none takes no more parts");
    for (size_t i = 1; i < parts.size(); ++i) TRY(apply_part(graphics, parts[i]));
    options.machine.graphics = graphics;
    return {};
}

}  // namespace mynah
