#include "backend/vhost/shared_memory.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace mynah {

Result<void> seal_size(int fd) {
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
        return Error(fmt::format("F_ADD_SEALS: {}", std::strerror(errno)));
    return {};
}

Result<std::unique_ptr<SharedMemory>> SharedMemory::create(const char* name, uint64_t size) {
    const auto failed = [&](const char* call) {
        return Error(
            fmt::format("cannot have {} KiB of memory: {}: {}", size >> 10, call,
                        std::strerror(errno)));
    };
    Fd fd(memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
    if (!fd.valid()) return failed("memfd_create");
    if (ftruncate(fd.get(), static_cast<off_t>(size)) != 0) return failed("ftruncate");
    TRY(seal_size(fd.get()));
    void* const base =
        mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
    if (base == MAP_FAILED) return failed("mmap");
    return std::unique_ptr<SharedMemory>(
        new SharedMemory(std::move(fd), static_cast<std::byte*>(base), size));
}

SharedMemory::~SharedMemory() { munmap(base_, size_); }

}  // namespace mynah
