#pragma once

#include <cstddef>
#include <cstdint>

namespace mynah {

// The system calls by which a device node of the host kernel is driven (/dev/kvm, /dev/vhost-*,
// /dev/vhost-vdpa-*, /dev/vduse/*): behind an interface, so that every answer and every error can
// be had on a machine that has no such node (testing/scripted_system_calls.h).
//
// All functions return what the call returns, or -errno; never -1 with errno. Any thread.
class SystemCalls {
  public:
    virtual ~SystemCalls() = default;

    virtual int open(const char* path, int flags) = 0;  // O_CLOEXEC is added
    virtual int close(int fd) = 0;
    // `argument`: a pointer or a number, as the request wants it.
    virtual int ioctl(int fd, unsigned long request, uintptr_t argument) = 0;
    // Null and -errno in `error` if it fails.
    virtual void* mmap(size_t bytes, int protection, int flags, int fd, int64_t offset,
                       int& error) = 0;
    virtual int munmap(void* address, size_t bytes) = 0;
    virtual int64_t read(int fd, void* to, size_t bytes) = 0;
    virtual int64_t write(int fd, const void* from, size_t bytes) = 0;

    int ioctl(int fd, unsigned long request, void* argument) {
        return ioctl(fd, request, reinterpret_cast<uintptr_t>(argument));
    }
};

// The host's own.
SystemCalls& host_system_calls();

}  // namespace mynah
