#include "backend/vhost/foreign_mapping.h"

#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "memory/address.h"
#include "memory/fault_guard.h"

namespace mynah {

Result<std::unique_ptr<ForeignMapping>> ForeignMapping::map(Fd fd, uint64_t offset, uint64_t size) {
    struct stat status {};
    if (size == 0 || fstat(fd.get(), &status) != 0 ||
        offset > static_cast<uint64_t>(status.st_size) ||
        size > static_cast<uint64_t>(status.st_size) - offset) {
        return Error("beyond the end of its file");
    }
    const uint64_t ahead = offset % kPageSize;
    void* const base = mmap(nullptr, ahead + size, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(),
                            static_cast<off_t>(offset - ahead));
    if (base == MAP_FAILED) return Error(fmt::format("mmap: {}", std::strerror(errno)));
    guard_mapping(base, ahead + size);
    return std::unique_ptr<ForeignMapping>(
        new ForeignMapping(std::move(fd), static_cast<std::byte*>(base), offset, ahead, size));
}

ForeignMapping::~ForeignMapping() {
    unguard_mapping(base_);
    munmap(base_, ahead_ + size_);
}

}  // namespace mynah
