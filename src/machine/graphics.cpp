#include "machine/graphics.h"

#include <fmt/core.h>

#include "host/listen_socket.h"

namespace mynah {
namespace {

constexpr const char* kLoopback = "127.0.0.1";
// Where VNC viewers look, and where QEMU's users are used to find the page.
constexpr uint16_t kFirstVncPort = 5900, kFirstWebPort = 5700, kPorts = 100;

// A port that was not named is the first one that is free.
uint16_t port_or_first_free(const std::optional<uint16_t>& port, const std::string& address,
                            uint16_t first) {
    if (port) return *port;
    for (uint16_t i = 0; i < kPorts; ++i) {
        const auto candidate = static_cast<uint16_t>(first + i);
        if (is_port_free(address, candidate)) return candidate;
    }
    return 0;
}

std::string place(const std::string& address, uint16_t port) {
    const bool v6 = address.find(':') != std::string::npos;
    return v6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

std::string address_of(const GraphicsConfig& config) {
    return config.listen.empty() ? kLoopback : config.listen;
}

}  // namespace

Result<std::unique_ptr<VncServer>> open_graphics(const MachineConfig& config, Screen& screen,
                                                 InputSink& input) {
    const GraphicsConfig& graphics = config.graphics;
    const std::string address = address_of(graphics);
    VncOptions options;
    options.origin = "--graphics vnc";
    options.name = config.name;
    options.unix_path = graphics.socket;
    if (graphics.socket.empty() || !graphics.listen.empty() || graphics.port) {
        options.tcp =
            VncOptions::Tcp{address, port_or_first_free(graphics.port, address, kFirstVncPort)};
    }
    if (graphics.web) {
        options.web =
            VncOptions::Tcp{address, port_or_first_free(graphics.web_port, address, kFirstWebPort)};
    }
    if (!graphics.password.empty()) options.password = graphics.password;
    return VncServer::start(std::move(options), screen, input);
}

std::string graphics_places(const GraphicsConfig& config, const VncServer& server) {
    std::string text;
    const std::string address = address_of(config);
    if (!config.socket.empty()) text += fmt::format("screen: vnc at {}\n", config.socket);
    if (server.port() != 0) {
        text += fmt::format("screen: vnc at {}\n", place(address, server.port()));
    }
    if (server.web_port() != 0) {
        text += fmt::format("screen: http://{}/\n", place(address, server.web_port()));
    }
    return text;
}

}  // namespace mynah
