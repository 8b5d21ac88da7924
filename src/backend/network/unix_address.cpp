#include "backend/network/unix_address.h"

#include <fmt/core.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace mynah {
namespace {

Result<sockaddr_un> unix_address(const std::string& path, const std::string& origin) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return Error(fmt::format("{}: {}: expected a path of 1 to {} bytes", origin, path,
                                 sizeof address.sun_path - 1));
    }
    path.copy(address.sun_path, path.size());
    return address;
}

Error socket_error(const std::string& path, const std::string& origin) {
    return Error(fmt::format("{}: {}: {}", origin, path, std::strerror(errno)));
}

bool is_abandoned(const std::string& path, const sockaddr_un& address, int type) {
    struct stat status {};
    if (stat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
    const Fd probe(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
           errno == ECONNREFUSED;
}

}  // namespace

Result<Fd> bind_unix_socket(const std::string& path, int type, const std::string& origin) {
    const sockaddr_un address = TRY(unix_address(path, origin));
    Fd fd(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return socket_error(path, origin);
    if (is_abandoned(path, address, type)) unlink(path.c_str());
    if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return socket_error(path, origin);
    }
    return fd;
}

Result<void> connect_unix_socket(int fd, const std::string& path, const std::string& origin) {
    const sockaddr_un address = TRY(unix_address(path, origin));
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return socket_error(path, origin);
    }
    return {};
}

Result<Fd> connect_unix_socket(const std::string& path, int type, const std::string& origin) {
    Fd fd(socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) return socket_error(path, origin);
    TRY(connect_unix_socket(fd.get(), path, origin));
    return fd;
}

}  // namespace mynah
