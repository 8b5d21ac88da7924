#include "memory/guest_memory.h"

#include <fmt/core.h>
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
                                                         uint64_t block_bytes, const Beyond& beyond,
                                                         const MemoryBacking& backing) {
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
    auto mapping = map(size, block_bytes, backing);
    if (!mapping) {
        return Error(fmt::format("cannot reserve {} MiB of guest memory: {}", size >> 20,
                                 mapping.error().message()));
    }
    std::unique_ptr<GuestMemory> memory(new GuestMemory(
        std::vector<Range>(ranges.begin(), ranges.end()), ram, beyond, mapping.value()));
    const auto settled = [&]() -> Result<void> {
        TRY(choose_memory_nodes(backing, memory->base_, memory->ram_bytes_));
        if (backing.preallocate) TRY(allocate_memory(backing, memory->base_, memory->size_));
        return {};
    }();
    if (!settled) {
        return Error(fmt::format("{} MiB of guest memory: {}", memory->size_ >> 20,
                                 settled.error().message()));
    }
    return memory;
}

Result<GuestMemory::Mapping> GuestMemory::map(uint64_t ram_bytes, uint64_t block_bytes,
                                              const MemoryBacking& backing) {
    const uint64_t page = std::max(backing.huge_page, kPageSize);
    const uint64_t ram_end = (ram_bytes + page - 1) / page * page;
    Mapping mapping{nullptr, ram_end, ram_end + block_bytes, -1, -1, page};
    const bool two = page != kPageSize;
    auto fd = create_memory_file(backing, two ? ram_end : mapping.size);
    if (!fd) return fd.error();
    mapping.fd = mapping.block_fd = fd.value();
    const auto mapped = [&]() -> Result<void> {
        // Blocks are in the second file where they were in the first.
        if (two) mapping.block_fd = TRY(create_memory_file({}, mapping.size));
        return map_files(mapping);
    }();
    if (mapped) return mapping;
    if (mapping.block_fd != mapping.fd) close(mapping.block_fd);
    close(mapping.fd);
    return mapped.error();
}

// Where it begins is a multiple of the page's size, as KVM wants it for large pages of its own.
Result<void> GuestMemory::map_files(Mapping& mapping) {
    const auto failed = [] { return Error(std::string("mmap: ") + std::strerror(errno)); };
    const uint64_t room = mapping.size + mapping.page_size;
    void* const free =
        mmap(nullptr, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (free == MAP_FAILED) return failed();
    const uintptr_t start = reinterpret_cast<uintptr_t>(free);
    const uint64_t before = -start % mapping.page_size;
    std::byte* const base = static_cast<std::byte*>(free) + before;
    if (before != 0) munmap(free, before);
    if (const uint64_t behind = mapping.page_size - before; behind != 0)
        munmap(base + mapping.size, behind);
    const auto put = [base](uint64_t from, uint64_t to, int fd, int flags) {
        return from == to ||
               mmap(base + from, to - from, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | flags,
                    fd, static_cast<off_t>(from)) != MAP_FAILED;
    };
    // Of huge pages the kernel sets aside what is mapped: better refused now than missing later.
    const bool two = mapping.fd != mapping.block_fd;
    const uint64_t first = two ? mapping.ram_end : mapping.size;
    if (!put(0, first, mapping.fd, two ? 0 : MAP_NORESERVE) ||
        !put(first, mapping.size, mapping.block_fd, MAP_NORESERVE)) {
        Error error = failed();
        munmap(base, mapping.size);
        return error;
    }
    mapping.base = base;
    // Guest RAM in a core file helps nobody and can be huge.
    madvise(base, mapping.size, MADV_DONTDUMP);
    tell_thread_sanitizer(base, mapping.size);
    return {};
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
    void* const base =
        mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return failed();
    auto* const bytes = static_cast<std::byte*>(base);
    std::unique_ptr<GuestMemory> memory(
        new GuestMemory(std::move(ranges), ram, {}, {bytes, size, size, -1, -1, kPageSize}));
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
                         const Beyond& beyond, const Mapping& mapping)
    : ranges_(std::move(ranges)),
      beyond_(with_end(beyond, ranges_)),
      size_(total(ranges_)),
      ram_bytes_(size_ + (beyond.pluggable ? beyond.pluggable->size : 0)),
      file_size_(mapping.size),
      blocks_taken_(mapping.ram_end),
      blocks_start_(mapping.ram_end),
      fd_(mapping.fd),
      block_fd_(mapping.block_fd),
      page_size_(mapping.page_size),
      base_(mapping.base),
      map_(ram),
      watch_(std::make_unique<WriteWatch>(base_, file_size_)) {}

GuestMemory::~GuestMemory() {
    if (fd_ < 0) unguard_mapping(base_);
    for (const Piece& piece : backed_) {
        unguard_mapping(base_ + piece.offset);
        close(piece.fd);
    }
    munmap(base_, file_size_);
    if (fd_ >= 0) close(fd_);
    if (block_fd_ != fd_) close(block_fd_);
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
        if (fd_ != block_fd_ && done < blocks_start_) {
            pieces.push_back({done, blocks_start_ - done, fd_, done});
            done = blocks_start_;
        }
        if (done < end) pieces.push_back({done, end - done, block_fd_, done});
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
    return {offset < blocks_start_ ? fd_ : block_fd_, offset};
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
