#pragma once

#include <span>
#include <vector>

#include "backend/vhost/vdpa_messages.h"
#include "backend/vhost/vhost_client.h"
#include "backend/vhost/vhost_user_socket.h"
#include "host/system_calls.h"

namespace mynah {

// The system calls on a vDPA device's node, carried to a process that is one (VdpaServer): open()
// takes the path of its socket, ioctl() and write() send what the kernel would be given and return
// what the process answers. Where the kernel would look up addresses of this process, the
// descriptor of the memory behind them goes along (share()).
//
// A process that does not answer, or not as it should: -EIO, now and from then on.
class VdpaSocketCalls : public SystemCalls {
  public:
    // How long the process may take for an answer.
    static constexpr int kPatienceMs = 10000;

    // What memory is behind which descriptor. The descriptors stay the caller's.
    void share(std::span<const VhostRegion> regions);
    // Ends the connection, so that whoever polls it sees that. Any thread.
    void shut(int fd);

    int open(const char* path, int flags) override;
    int close(int fd) override;
    int ioctl(int fd, unsigned long request, uintptr_t argument) override;
    using SystemCalls::ioctl;
    void* mmap(size_t bytes, int protection, int flags, int fd, int64_t offset,
               int& error) override;
    int munmap(void* address, size_t bytes) override;
    int64_t read(int fd, void* to, size_t bytes) override;
    int64_t write(int fd, const void* from, size_t bytes) override;

  private:
    // The result; what the answer has beside it is in `out`.
    int ask(int fd, uint32_t request, std::span<const std::byte> payload, int descriptor,
            std::span<std::byte> out);
    const VhostRegion* region_of(const vhost_iotlb_msg& update) const;

    std::vector<VhostRegion> regions_;
    VhostUserMessage reply_;
};

}  // namespace mynah
