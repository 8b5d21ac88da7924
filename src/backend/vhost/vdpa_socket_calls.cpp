#include "backend/vhost/vdpa_socket_calls.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "backend/network/unix_address.h"

namespace mynah {

using namespace vdpa;

void VdpaSocketCalls::share(std::span<const VhostRegion> regions) {
    regions_.assign(regions.begin(), regions.end());
}

void VdpaSocketCalls::shut(int fd) { ::shutdown(fd, SHUT_RDWR); }

int VdpaSocketCalls::open(const char* path, int) {
    errno = 0;
    auto socket = connect_unix_socket(path, SOCK_STREAM, "");
    if (!socket) return errno != 0 ? -errno : -ECONNREFUSED;
    return socket.value().release();
}

int VdpaSocketCalls::close(int fd) { return ::close(fd) < 0 ? -errno : 0; }

int VdpaSocketCalls::ask(int fd, uint32_t request, std::span<const std::byte> payload,
                         int descriptor, std::span<std::byte> out) {
    const std::span<const int> fds(&descriptor, descriptor >= 0 ? 1 : 0);
    if (!send_vhost_user(fd, request, 0, payload, fds, kPatienceMs) ||
        !receive_vhost_user(fd, reply_, kPatienceMs)) {
        shut(fd);
        return -EIO;
    }
    const auto answer = reply_.front<Answer>();
    const size_t more = answer && answer->result >= 0 ? out.size() : 0;
    if (!answer || reply_.request != request || reply_.size != sizeof(Answer) + more) {
        shut(fd);
        return -EIO;
    }
    std::ranges::copy(std::span(reply_.payload).subspan(sizeof(Answer), more), out.begin());
    // Not what the caller takes for an address.
    return std::max(answer->result, -4095);
}

int VdpaSocketCalls::ioctl(int fd, unsigned long request, uintptr_t argument) {
    auto* const bytes = reinterpret_cast<std::byte*>(argument);
    const auto shape = shape_of(request);
    if (!shape) return -ENOTTY;
    size_t in = shape->in, out = shape->out;
    if (shape->config) {
        vhost_vdpa_config header;
        std::memcpy(&header, bytes, sizeof header);
        in += header.len;
        if (request == VHOST_VDPA_GET_CONFIG) out = in;
    }
    if (in > vhost_user::kMaxPayload || out + sizeof(Answer) > vhost_user::kMaxPayload)
        return -E2BIG;
    std::array<std::byte, vhost_user::kMaxPayload> payload;
    if (in > 0) std::memcpy(payload.data(), bytes, in);
    int descriptor = -1;
    if (shape->descriptor) {
        std::memcpy(&descriptor, bytes + *shape->descriptor, sizeof descriptor);
        const int shown = descriptor < 0 ? -1 : 0;
        std::memcpy(payload.data() + *shape->descriptor, &shown, sizeof shown);
    }
    return ask(fd, static_cast<uint32_t>(request), std::span(payload).first(in), descriptor,
               out > 0 ? std::span(bytes, out) : std::span<std::byte>());
}

const VhostRegion* VdpaSocketCalls::region_of(const vhost_iotlb_msg& update) const {
    for (const VhostRegion& region : regions_) {
        const uint64_t offset = update.uaddr - reinterpret_cast<uint64_t>(region.host);
        if (offset < region.size && update.size <= region.size - offset) return &region;
    }
    return nullptr;
}

int64_t VdpaSocketCalls::write(int fd, const void* from, size_t bytes) {
    IotlbMessage carried{};
    if (bytes != sizeof carried.message) return -EINVAL;
    std::memcpy(&carried.message, from, bytes);
    const vhost_iotlb_msg& what = carried.message.iotlb;
    int descriptor = -1;
    if (what.type == VHOST_IOTLB_UPDATE) {
        const VhostRegion* const region = region_of(what);
        if (region == nullptr) return -EFAULT;
        descriptor = region->fd;
        carried.fd_offset =
            region->fd_offset + (what.uaddr - reinterpret_cast<uint64_t>(region->host));
        carried.message.iotlb.uaddr = 0;  // nobody else's business
    }
    const int result = ask(fd, kWrite, std::as_bytes(std::span(&carried, 1)), descriptor, {});
    return result < 0 ? result : static_cast<int64_t>(bytes);
}

// A vDPA device's node has no more than that.
void* VdpaSocketCalls::mmap(size_t, int, int, int, int64_t, int& error) {
    error = -ENODEV;
    return nullptr;
}
int VdpaSocketCalls::munmap(void*, size_t) { return -EINVAL; }
int64_t VdpaSocketCalls::read(int, void*, size_t) { return -EAGAIN; }

}  // namespace mynah
