#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "memory/address.h"
#include "memory/memory_backing.h"
#include "memory/memory_map.h"
#include "memory/write_watch.h"

namespace mynah {

// The guest's memory: RAM at some ranges of guest-physical addresses, and blocks that are not RAM
// (ROM, flash, video memory), all in one anonymous file (memfd) that is mapped once; where RAM is
// made of huge pages, which only whole ones of can be mapped, blocks are in a second one. Pages the
// guest never touched use no host memory, unless they are to be allocated beforehand. Overlays say where blocks appear, and where RAM is hidden
// or cannot be written; they change while the machine runs, the ranges never do. Every function
// may be called from any thread. Contents are shared with running vCPUs: copy in once, validate,
// then use.
class GuestMemory {
  public:
    struct Range {
        GuestPhys start;
        uint64_t size;  // bytes, a multiple of kPageSize

        GuestPhys end() const { return start + size; }
    };

    // What lies behind the RAM a guest finds at its start.
    struct Beyond {
        // RAM whose pages a device gives out and takes back, above all ranges.
        std::optional<Range> pluggable = {};
        // Nothing else may be placed below this address; 0: below the end of what is here.
        GuestPhys end = GuestPhys(0);
    };

    // Ranges must be page-aligned, ascending and disjoint (CHECKed). block_bytes: room for
    // take_block(). Error: the host refuses the mapping, or does not have what it is to be made of.
    static Result<std::unique_ptr<GuestMemory>> create(std::span<const Range> ranges,
                                                       uint64_t block_bytes, const Beyond& beyond,
                                                       const MemoryBacking& backing = {});
    static Result<std::unique_ptr<GuestMemory>> create(std::span<const Range> ranges,
                                                       uint64_t block_bytes = 0) {
        return create(ranges, block_bytes, {});
    }

    // Memory of another process's guest, which that process gave by descriptors.
    struct Foreign {
        GuestPhys start;
        uint64_t size;
        int fd;  // stays the caller's
        uint64_t fd_offset;
    };
    // What another process says about its memory is checked. fd() is -1, and there are no blocks.
    // Error: a clause that says what is wrong (not whole pages, overlapping, beyond the end of the
    // file), or the host refuses.
    static Result<std::unique_ptr<GuestMemory>> adopt(std::vector<Foreign> regions);

    ~GuestMemory();
    GuestMemory(const GuestMemory&) = delete;
    GuestMemory& operator=(const GuestMemory&) = delete;

    std::span<const Range> ranges() const { return ranges_; }
    uint64_t size() const { return size_; }  // bytes of RAM in these
    std::optional<Range> pluggable() const { return beyond_.pluggable; }
    // The end of all addresses that are set aside for memory.
    GuestPhys end() const { return beyond_.end; }

    // --- memory that is not RAM, and what lies over RAM ---
    // A piece of the backing file; all zero to begin with.
    struct Block {
        uint64_t offset = 0;  // in the file
        uint64_t size = 0;    // bytes, a multiple of kPageSize
        std::byte* host = nullptr;
    };
    // While the machine is built; CHECKs that create() was given room for it.
    Block take_block(uint64_t size);
    // Puts a file's bytes into a block: what is written there is in the file. Takes over the
    // descriptor; the file is at least as long as the block. While the machine is built.
    Result<void> back_block(const Block& block, int fd);

    // A slot for an overlay that lies over RAM ranges and over earlier slots; while the machine is
    // built, CHECKs that one is left.
    unsigned take_overlay() { return map_.take_slot(); }
    // Replaces what the slot says, and tells the listener when it makes a difference. Any thread,
    // with no device lock held.
    void set_overlay(unsigned slot, const MemoryOverlay& overlay);
    // Processors must look up again what they reach at which address: on_map_change() is told.
    void forget_translations() {
        if (map_changed_) map_changed_();
    }
    // Told on the thread that changed an overlay; set before the machine runs.
    void on_map_change(std::function<void()> told) { map_changed_ = std::move(told); }

    // Copies; false, with nothing written to guest memory, if any byte is not RAM.
    [[nodiscard]] bool read(GuestPhys from, std::span<std::byte> to) const;
    [[nodiscard]] bool write(GuestPhys to, std::span<const std::byte> from);
    [[nodiscard]] bool fill(GuestPhys to, std::byte value, uint64_t size);

    template <typename T>
    [[nodiscard]] std::optional<T> load(GuestPhys from) const {
        T value;
        if (!read(from, std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
        return value;
    }
    template <typename T>
    [[nodiscard]] bool store(GuestPhys to, const T& value) {
        return write(to, std::as_bytes(std::span(&value, 1)));
    }

    struct Run {
        std::byte* host;
        uint64_t size;  // bytes that lie side by side from there on, at most those asked for
        bool writable;
    };
    // The memory that begins at `address`; nothing: there is none (a device, or nobody).
    std::optional<Run> find(GuestPhys address, uint64_t size,
                            MemoryView view = MemoryView::kNormal) const;
    // All of it at this moment, for those who map it as a whole.
    std::vector<MemoryMap::Segment> segments(MemoryView view) const { return map_.segments(view); }
    // Host address of the byte at `address`; null if not all of [address, address+size) is memory
    // that lies side by side. It may be read-only. Valid as long as this object. For engines and
    // for DMA; the contents may change at any moment under the caller.
    std::byte* host(GuestPhys address, uint64_t size,
                    MemoryView view = MemoryView::kNormal) const;

    // The backing file of RAM, and where in it a byte of guest memory lies; blocks that another file
    // backs have a place in it, too.
    int fd() const { return fd_; }
    // The pieces of it that can be mapped, or given back to the host.
    uint64_t page_size() const { return page_size_; }
    uint64_t file_size() const { return file_size_; }  // bytes of RAM and blocks in all
    uint64_t ram_bytes() const { return ram_bytes_; }  // of RAM, pluggable or not: it comes first
    // What must be mapped to see all of it: pieces of files, ascending and side by side.
    struct Piece {
        uint64_t offset, size;  // in the backing file
        int fd;
        uint64_t fd_offset;
    };
    std::vector<Piece> pieces() const;
    // The file with this byte, for mapping its page a second time.
    struct FilePlace {
        int fd;
        uint64_t offset;
    };
    FilePlace file_place(const std::byte* host) const;
    uint64_t file_offset(const std::byte* host) const {
        return static_cast<uint64_t>(host - base_);
    }
    std::byte* at_offset(uint64_t offset) const { return base_ + offset; }

    // Every write that does not come through this class or a DmaView must be reported here.
    WriteWatch& watch() const { return *watch_; }

  private:
    // A mapping of files: RAM in the first, to `ram_end`, and blocks behind it in the second, at the
    // same offsets; it may be the same.
    struct Mapping {
        std::byte* base;
        uint64_t ram_end, size;  // bytes
        int fd, block_fd;
        uint64_t page_size;
    };
    GuestMemory(std::vector<Range> ranges, std::span<const MemoryMap::Ram> ram,
                const Beyond& beyond, const Mapping& mapping);
    static Result<Mapping> map(uint64_t ram_bytes, uint64_t block_bytes,
                               const MemoryBacking& backing);
    static Result<void> map_files(Mapping& mapping);

    std::byte* writable(GuestPhys address, uint64_t size) const;

    const std::vector<Range> ranges_;
    const Beyond beyond_;
    const uint64_t size_, ram_bytes_, file_size_;
    uint64_t blocks_taken_;         // where in the file the next block begins
    std::vector<Piece> backed_;     // blocks with files of their own, ascending
    const uint64_t blocks_start_;
    const int fd_, block_fd_;
    const uint64_t page_size_;
    std::byte* const base_;
    MemoryMap map_;
    std::function<void()> map_changed_;
    std::unique_ptr<WriteWatch> watch_;
};

}  // namespace mynah
