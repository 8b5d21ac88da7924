#include "memory/guest_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "memory/fault_guard.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MYNAH_THREAD_SANITIZER
extern "C" void AnnotateBenignRaceSized(const char* file, int line, const volatile void* memory,
                                        size_t size, const char* description);
#endif
#endif

namespace mynah {
namespace {

// The guest's own races on its memory are its business, not ours to report.
void tell_thread_sanitizer([[maybe_unused]] std::byte* base, [[maybe_unused]] uint64_t size) {
#ifdef MYNAH_THREAD_SANITIZER
    AnnotateBenignRaceSized(__FILE__, __LINE__, base, size, "guest memory");
#endif
}

}  // namespace

Result<std::unique_ptr<GuestMemory>> GuestMemory::create(std::span<const Range> ranges,
                                                         uint64_t block_bytes,
                                                         const Beyond& beyond) {
    uint64_t size = 0;
    std::vector<MemoryMap::Ram> ram;
    GuestPhys previous_end{0};
    std::vector<Range> all(ranges.begin(), ranges.end());
    if (beyond.pluggable) all.push_back(*beyond.pluggable);
    for (const Range& range : all) {
        CHECK(range.start.value % kPageSize == 0 && range.size % kPageSize == 0 && range.size > 0);
        CHECK(range.start >= previous_end);
        previous_end = range.end();
        ram.push_back({range.start, range.size, size});
        size += range.size;
    }
    CHECK(size > 0 && block_bytes % kPageSize == 0);
    const uint64_t file_size = size + block_bytes;

    const auto failed = [size](const char* call) {
        return Error("cannot reserve " + std::to_string(size >> 20) +
                     " MiB of guest memory: " + call + ": " + std::strerror(errno));
    };
    const int fd = memfd_create("guest-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) return failed("memfd_create");
    if (ftruncate(fd, static_cast<off_t>(file_size)) != 0) {
        Error error = failed("ftruncate");
        close(fd);
        return error;
    }
    // A back end in another process that is given the descriptor cannot take memory away under a
    // running processor. Holes can still be punched.
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        Error error = failed("F_ADD_SEALS");
        close(fd);
        return error;
    }
    void* base =
        mmap(nullptr, file_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (base == MAP_FAILED) {
        Error error = failed("mmap");
        close(fd);
        return error;
    }
    // Guest RAM in a core file helps nobody and can be huge.
    madvise(base, file_size, MADV_DONTDUMP);
    tell_thread_sanitizer(static_cast<std::byte*>(base), file_size);
    return std::unique_ptr<GuestMemory>(
        new GuestMemory(std::vector<Range>(ranges.begin(), ranges.end()), ram, beyond, file_size,
                        fd, static_cast<std::byte*>(base)));
}

namespace {

Result<void> check_foreign(const GuestMemory::Foreign& region, GuestPhys previous_end) {
    constexpr uint64_t kMost = uint64_t{1} << 46;  // bytes: less than an address space
    const uint64_t start = region.start.value;
    if (region.size == 0 || (start | region.size | region.fd_offset) % kPageSize != 0)
        return Error("a region of memory that is not whole pages");
    if (region.size > kMost || start > ~uint64_t{0} - region.size || region.fd_offset > kMost)
        return Error("a region of memory that is larger than any");
    if (region.start < previous_end) return Error("regions of memory that overlap");
    struct stat status {};
    if (fstat(region.fd, &status) != 0) return Error("a region of memory without a file");
    if (S_ISREG(status.st_mode) &&
        static_cast<uint64_t>(status.st_size) < region.fd_offset + region.size) {
        return Error("a region of memory beyond the end of its file");
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<GuestMemory>> GuestMemory::adopt(std::vector<Foreign> regions) {
    if (regions.size() > MemoryMap::kMostRam) return Error("too many regions of memory");
    std::sort(regions.begin(), regions.end(),
              [](const Foreign& a, const Foreign& b) { return a.start < b.start; });
    std::vector<Range> ranges;
    std::vector<MemoryMap::Ram> ram;
    uint64_t size = 0;
    GuestPhys previous_end{0};
    for (const Foreign& region : regions) {
        TRY(check_foreign(region, previous_end));
        previous_end = region.start + region.size;
        ranges.push_back({region.start, region.size});
        ram.push_back({region.start, region.size, size});
        size += region.size;
    }
    const auto failed = [&] {
        return Error(std::string("cannot map the guest's memory: ") + std::strerror(errno));
    };
    if (size == 0) return Error("no memory");
    void* const base = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                            -1, 0);
    if (base == MAP_FAILED) return failed();
    auto* const bytes = static_cast<std::byte*>(base);
    std::unique_ptr<GuestMemory> memory(
        new GuestMemory(std::move(ranges), ram, {}, size, -1, bytes));
    for (size_t i = 0; i < regions.size(); ++i) {
        if (mmap(bytes + ram[i].offset, regions[i].size, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_NORESERVE | MAP_FIXED, regions[i].fd,
                 static_cast<off_t>(regions[i].fd_offset)) == MAP_FAILED) {
            return failed();
        }
    }
    madvise(base, size, MADV_DONTDUMP);
    guard_mapping(base, size);
    tell_thread_sanitizer(bytes, size);
    return memory;
}

namespace {

uint64_t total(std::span<const GuestMemory::Range> ranges) {
    uint64_t size = 0;
    for (const GuestMemory::Range& range : ranges) size += range.size;
    return size;
}

GuestMemory::Beyond with_end(GuestMemory::Beyond beyond,
                             std::span<const GuestMemory::Range> ranges) {
    beyond.end = std::max(beyond.end, ranges.back().end());
    if (beyond.pluggable) beyond.end = std::max(beyond.end, beyond.pluggable->end());
    return beyond;
}

}  // namespace

GuestMemory::GuestMemory(std::vector<Range> ranges, std::span<const MemoryMap::Ram> ram,
                         const Beyond& beyond, uint64_t file_size, int fd, std::byte* base)
    : ranges_(std::move(ranges)),
      beyond_(with_end(beyond, ranges_)),
      size_(total(ranges_)),
      ram_bytes_(size_ + (beyond.pluggable ? beyond.pluggable->size : 0)),
      file_size_(file_size),
      blocks_taken_(ram_bytes_),
      fd_(fd),
      base_(base),
      map_(ram),
      watch_(std::make_unique<WriteWatch>(base, file_size)) {}

GuestMemory::~GuestMemory() {
    if (fd_ < 0) unguard_mapping(base_);
    for (const Piece& piece : backed_) {
        unguard_mapping(base_ + piece.offset);
        close(piece.fd);
    }
    munmap(base_, file_size_);
    if (fd_ >= 0) close(fd_);
}

GuestMemory::Block GuestMemory::take_block(uint64_t size) {
    CHECK(size > 0 && size % kPageSize == 0 && size <= file_size_ - blocks_taken_);
    const Block block{blocks_taken_, size, base_ + blocks_taken_};
    blocks_taken_ += size;
    return block;
}

Result<void> GuestMemory::back_block(const Block& block, int fd) {
    if (mmap(block.host, block.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
        MAP_FAILED) {
        Error error(std::string("cannot be mapped: ") + std::strerror(errno));
        close(fd);
        return error;
    }
    madvise(block.host, block.size, MADV_DONTDUMP);
    guard_mapping(block.host, block.size);
    tell_thread_sanitizer(block.host, block.size);
    const Piece piece{block.offset, block.size, fd, 0};
    const auto after = [](const Piece& a, const Piece& b) { return a.offset < b.offset; };
    backed_.insert(std::upper_bound(backed_.begin(), backed_.end(), piece, after), piece);
    return {};
}

std::vector<GuestMemory::Piece> GuestMemory::pieces() const {
    std::vector<Piece> pieces;
    uint64_t done = 0;
    const auto own = [&](uint64_t end) {
        if (done < end) pieces.push_back({done, end - done, fd_, done});
    };
    for (const Piece& piece : backed_) {
        own(piece.offset);
        pieces.push_back(piece);
        done = piece.offset + piece.size;
    }
    own(file_size_);
    return pieces;
}

GuestMemory::FilePlace GuestMemory::file_place(const std::byte* host) const {
    const uint64_t offset = file_offset(host);
    for (const Piece& piece : backed_)
        if (offset >= piece.offset && offset - piece.offset < piece.size)
            return {piece.fd, offset - piece.offset};
    return {fd_, offset};
}

void GuestMemory::set_overlay(unsigned slot, const MemoryOverlay& overlay) {
    if (overlay.kind == MemoryOverlay::Kind::kReadOnly ||
        overlay.kind == MemoryOverlay::Kind::kMemory) {
        CHECK(overlay.offset <= file_size_ && overlay.size <= file_size_ - overlay.offset);
    }
    if (map_.set(slot, overlay)) forget_translations();
}

std::optional<GuestMemory::Run> GuestMemory::find(GuestPhys address, uint64_t size,
                                                  MemoryView view) const {
    MemoryMap::Run run;
    if (!map_.find(address, view, run)) return std::nullopt;
    return Run{base_ + run.offset, std::min(run.size, size), run.writable};
}

std::byte* GuestMemory::host(GuestPhys address, uint64_t size, MemoryView view) const {
    MemoryMap::Run run;
    if (!map_.find(address, view, run) || size > run.size) return nullptr;
    return base_ + run.offset;
}

// The writable memory of `size` bytes at `address`, side by side; null if it is not all that.
std::byte* GuestMemory::writable(GuestPhys address, uint64_t size) const {
    const std::optional<Run> run = find(address, size);
    return run && run->writable && run->size == size ? run->host : nullptr;
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
    std::byte* target = writable(to, from.size());
    if (target == nullptr) return false;
    std::memcpy(target, from.data(), from.size());
    watch_->wrote(target, from.size());
    return true;
}

bool GuestMemory::fill(GuestPhys to, std::byte value, uint64_t size) {
    if (size == 0) return true;
    std::byte* target = writable(to, size);
    if (target == nullptr) return false;
    std::memset(target, static_cast<int>(value), size);
    watch_->wrote(target, size);
    return true;
}

}  // namespace mynah
