#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "host/system_calls.h"

namespace mynah::kvm {

// A descriptor of KVM's: the device node, a machine or a processor. Every request that can fail has
// its name in the error.
class Handle {
  public:
    Handle() = default;
    Handle(SystemCalls& calls, int fd) : calls_(&calls), fd_(fd) {}
    ~Handle() {
        if (fd_ >= 0) calls_->close(fd_);
    }
    Handle(Handle&& other) noexcept
        : calls_(other.calls_), fd_(std::exchange(other.fd_, -1)) {}
    Handle& operator=(Handle&& other) noexcept {
        std::swap(calls_, other.calls_);
        std::swap(fd_, other.fd_);
        return *this;
    }

    int fd() const { return fd_; }
    SystemCalls& calls() const { return *calls_; }

    // What the request returned, or -errno.
    int ask(unsigned long request, uintptr_t argument) const {
        return calls_->ioctl(fd_, request, argument);
    }
    int ask(unsigned long request, void* argument) const {
        return calls_->ioctl(fd_, request, argument);
    }
    // Error: "KVM_...: why".
    Result<int> request(std::string_view name, unsigned long request, uintptr_t argument) const;
    Result<int> request(std::string_view name, unsigned long number, void* argument) const {
        return request(name, number, reinterpret_cast<uintptr_t>(argument));
    }

  private:
    SystemCalls* calls_ = nullptr;
    int fd_ = -1;
};

// /dev/kvm with the one version of its interface there is. Error: why not.
Result<Handle> open_device(SystemCalls& calls);
// 0: the kernel does not have it.
int extension(const Handle& handle, long capability);

}  // namespace mynah::kvm
