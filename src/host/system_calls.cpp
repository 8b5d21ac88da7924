#include "host/system_calls.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

namespace mynah {
namespace {

class HostSystemCalls final : public SystemCalls {
  public:
    int open(const char* path, int flags) override {
        const int fd = ::open(path, flags | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
    }
    int close(int fd) override { return ::close(fd) < 0 ? -errno : 0; }
    int ioctl(int fd, unsigned long request, uintptr_t argument) override {
        const int result = ::ioctl(fd, request, argument);
        return result < 0 ? -errno : result;
    }
    void* mmap(size_t bytes, int protection, int flags, int fd, int64_t offset,
               int& error) override {
        void* const address = ::mmap(nullptr, bytes, protection, flags, fd, offset);
        error = address == MAP_FAILED ? -errno : 0;
        return address == MAP_FAILED ? nullptr : address;
    }
    int munmap(void* address, size_t bytes) override {
        return ::munmap(address, bytes) < 0 ? -errno : 0;
    }
    int64_t read(int fd, void* to, size_t bytes) override {
        const ssize_t done = ::read(fd, to, bytes);
        return done < 0 ? -errno : done;
    }
    int64_t write(int fd, const void* from, size_t bytes) override {
        const ssize_t done = ::write(fd, from, bytes);
        return done < 0 ? -errno : done;
    }
};

}  // namespace

SystemCalls& host_system_calls() {
    static HostSystemCalls calls;
    return calls;
}

}  // namespace mynah
