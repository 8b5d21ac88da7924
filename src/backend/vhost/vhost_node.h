#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "backend/vhost/linux_vhost.h"
#include "base/result.h"
#include "host/system_calls.h"

namespace mynah {

// A node of the host's kernel by which it is asked for something, open; closed with it, which takes
// back all that was set up by it.
class VhostNode {
  public:
    // `expected`: what the path should have been. Error: why it cannot be opened, behind the path.
    static Result<VhostNode> open(const std::string& path, const std::string& expected,
                                  SystemCalls& calls);
    ~VhostNode();
    VhostNode(VhostNode&& other) noexcept
        : calls_(other.calls_), fd_(std::exchange(other.fd_, -1)) {}
    VhostNode& operator=(VhostNode&&) = delete;

    int fd() const { return fd_; }
    SystemCalls& calls() const { return calls_; }

    // A request that must succeed. Error: its name, and why not.
    Result<void> call(const char* name, unsigned long request, uintptr_t argument) const;
    template <typename T>
    Result<void> call(const char* name, unsigned long request, T* argument) const {
        return call(name, request, reinterpret_cast<uintptr_t>(argument));
    }
    // All about a ring of so many entries, its bell last. `address` has its index.
    Result<void> set_ring(const vhost_vring_addr& address, uint16_t entries, uint16_t base,
                          int kick, int call_fd) const;

  private:
    VhostNode(SystemCalls& calls, int fd) : calls_(calls), fd_(fd) {}

    SystemCalls& calls_;
    int fd_;
};

}  // namespace mynah
