#include "control/qmp_client.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace mynah {
namespace {

using nlohmann::json;

constexpr timeval kPatience{30, 0};

}  // namespace

Result<QmpClient> QmpClient::connect(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path)
        return Error(fmt::format("{}: the path of the socket is too long", path));
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return Error(fmt::format("socket: {}", std::strerror(errno)));
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return Error(fmt::format("{}: {}", path, std::strerror(errno)));
    QmpClient client(std::move(fd));
    const json greeting = TRY(client.receive());
    if (!greeting.contains("QMP")) return Error(fmt::format("{}: does not speak QMP", path));
    TRY(client.execute("qmp_capabilities", json::object()));
    return client;
}

Result<json> QmpClient::receive() {
    while (true) {
        if (const auto frame = framer_.next()) {
            json message = json::parse(frame->text, nullptr, false);
            if (message.is_object()) return message;
            return Error("the machine's answer is not QMP");
        }
        std::array<char, 4096> buffer;
        const ssize_t got = recv(fd_.get(), buffer.data(), buffer.size(), 0);
        if (got == 0) return Error("the machine ended");
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            const bool late = errno == EAGAIN || errno == EWOULDBLOCK;
            return Error(late ? "the machine does not answer" : std::strerror(errno));
        }
        framer_.add({buffer.data(), static_cast<size_t>(got)});
    }
}

Result<json> QmpClient::execute(std::string_view command, const json& arguments) {
    const std::string text = json{{"execute", command}, {"arguments", arguments}}.dump(
                                 -1, ' ', false, json::error_handler_t::replace) +
                             "\n";
    const json sent_arguments = json::parse(text, nullptr, false)["arguments"];
    if (sent_arguments != arguments)
        return Error(fmt::format("{}: expected text in UTF-8", sent_arguments.dump()));
    for (size_t sent = 0; sent < text.size();) {
        const ssize_t now = send(fd_.get(), text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
        if (now < 0 && errno == EINTR) continue;
        if (now < 0) return Error(std::strerror(errno));
        sent += static_cast<size_t>(now);
    }
    while (true) {
        json message = TRY(receive());
        if (const auto value = message.find("return"); value != message.end())
            return json(std::move(*value));
        if (const auto error = message.find("error"); error != message.end()) {
            const bool told =
                error->is_object() && error->contains("desc") && (*error)["desc"].is_string();
            return Error(told ? (*error)["desc"].get<std::string>() : error->dump());
        }
        // An event; nobody waits for it.
    }
}

pid_t QmpClient::server() const {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (getsockopt(fd_.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return -1;
    return peer.pid;
}

}  // namespace mynah
