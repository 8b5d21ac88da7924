#include "memory/guest_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace mynah {

Result<std::unique_ptr<GuestMemory>> GuestMemory::create(std::span<const Range> ranges) {
    uint64_t size = 0;
    GuestPhys previous_end{0};
    for (const Range& range : ranges) {
        CHECK(range.start.value % kPageSize == 0 && range.size % kPageSize == 0 && range.size > 0);
        CHECK(range.start >= previous_end);
        previous_end = range.end();
        size += range.size;
    }
    CHECK(size > 0);

    const auto failed = [size](const char* call) {
        return Error("cannot reserve " + std::to_string(size >> 20) +
                     " MiB of guest memory: " + call + ": " + std::strerror(errno));
    };
    const int fd = memfd_create("guest-memory", MFD_CLOEXEC);
    if (fd < 0) return failed("memfd_create");
    if (ftruncate(fd, static_cast<off_t>(size)) != 0) {
        Error error = failed("ftruncate");
        close(fd);
        return error;
    }
    void* base = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED) {
        Error error = failed("mmap");
        close(fd);
        return error;
    }
    // Guest RAM in a core file helps nobody and can be huge.
    madvise(base, size, MADV_DONTDUMP);
    return std::unique_ptr<GuestMemory>(new GuestMemory(
        std::vector<Range>(ranges.begin(), ranges.end()), size, fd, static_cast<std::byte*>(base)));
}

GuestMemory::GuestMemory(std::vector<Range> ranges, uint64_t size, int fd, std::byte* base)
    : ranges_(std::move(ranges)),
      size_(size),
      fd_(fd),
      base_(base),
      watch_(std::make_unique<WriteWatch>(base, size)) {
    uint64_t offset = 0;
    for (const Range& range : ranges_) {
        offsets_.push_back(offset);
        offset += range.size;
    }
}

GuestMemory::~GuestMemory() {
    munmap(base_, size_);
    close(fd_);
}

std::byte* GuestMemory::host(GuestPhys address, uint64_t size) const {
    for (size_t i = 0; i < ranges_.size(); ++i) {
        const Range& range = ranges_[i];
        if (address < range.start || address >= range.end()) continue;
        const uint64_t within = address - range.start;
        if (size > range.size - within) return nullptr;
        return base_ + offsets_[i] + within;
    }
    return nullptr;
}

std::optional<uint64_t> GuestMemory::file_offset(GuestPhys address) const {
    const std::byte* byte = host(address, 1);
    if (byte == nullptr) return std::nullopt;
    return static_cast<uint64_t>(byte - base_);
}

bool GuestMemory::read(GuestPhys from, std::span<std::byte> to) const {
    if (to.empty()) return true;
    const std::byte* source = host(from, to.size());
    if (source == nullptr) return false;
    std::memcpy(to.data(), source, to.size());
    return true;
}

bool GuestMemory::write(GuestPhys to, std::span<const std::byte> from) {
    if (from.empty()) return true;
    std::byte* target = host(to, from.size());
    if (target == nullptr) return false;
    std::memcpy(target, from.data(), from.size());
    watch_->wrote(target, from.size());
    return true;
}

bool GuestMemory::fill(GuestPhys to, std::byte value, uint64_t size) {
    if (size == 0) return true;
    std::byte* target = host(to, size);
    if (target == nullptr) return false;
    std::memset(target, static_cast<int>(value), size);
    watch_->wrote(target, size);
    return true;
}

}  // namespace mynah
