#include "backend/vhost/vhost_node.h"

#include <fcntl.h>
#include <fmt/core.h>

#include <cerrno>
#include <cstring>

namespace mynah {

Result<VhostNode> VhostNode::open(const std::string& path, const std::string& expected,
                                  SystemCalls& calls) {
    const int fd = calls.open(path.c_str(), O_RDWR);
    if (fd >= 0) return VhostNode(calls, fd);
    switch (-fd) {
        case ENOENT:
        case ENXIO:
        case ENODEV:
            return Error(fmt::format("{}: there is no such device; expected {}", path, expected));
        case EACCES:
        case EPERM:
            return Error(fmt::format("{}: no rights to open it for reading and writing", path));
        case EBUSY:
            return Error(fmt::format("{}: somebody else uses this device", path));
        default:
            return Error(fmt::format("{}: {}", path, std::strerror(-fd)));
    }
}

VhostNode::~VhostNode() {
    if (fd_ >= 0) (void)calls_.close(fd_);
}

Result<void> VhostNode::call(const char* name, unsigned long request, uintptr_t argument) const {
    const int result = calls_.ioctl(fd_, request, argument);
    if (result >= 0) return {};
    return Error(fmt::format("{}: {}", name, std::strerror(-result)));
}

Result<void> VhostNode::set_ring(const vhost_vring_addr& address, uint16_t entries, uint16_t base,
                                 int kick, int call_fd) const {
    vhost_vring_state state{address.index, entries};
    TRY(call("VHOST_SET_VRING_NUM", VHOST_SET_VRING_NUM, &state));
    state.num = base;
    TRY(call("VHOST_SET_VRING_BASE", VHOST_SET_VRING_BASE, &state));
    vhost_vring_addr copy = address;
    TRY(call("VHOST_SET_VRING_ADDR", VHOST_SET_VRING_ADDR, &copy));
    vhost_vring_file bell{address.index, call_fd};
    TRY(call("VHOST_SET_VRING_CALL", VHOST_SET_VRING_CALL, &bell));
    bell.fd = kick;
    return call("VHOST_SET_VRING_KICK", VHOST_SET_VRING_KICK, &bell);
}

}  // namespace mynah
