#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "memory/address.h"
#include "memory/write_watch.h"

namespace mynah {

// The guest's RAM: some ranges of guest-physical addresses, backed by one anonymous file (memfd)
// that is mapped once. Pages the guest never touched use no host memory. The ranges never change
// while the machine runs, so every function may be called from any thread. Contents are shared with
// running vCPUs: copy in once, validate, then use.
class GuestMemory {
  public:
    struct Range {
        GuestPhys start;
        uint64_t size;  // bytes, a multiple of kPageSize

        GuestPhys end() const { return start + size; }
    };

    // Ranges must be page-aligned, ascending and disjoint (CHECKed). Error: the host refuses the
    // mapping.
    static Result<std::unique_ptr<GuestMemory>> create(std::span<const Range> ranges);
    ~GuestMemory();
    GuestMemory(const GuestMemory&) = delete;
    GuestMemory& operator=(const GuestMemory&) = delete;

    std::span<const Range> ranges() const { return ranges_; }
    uint64_t size() const { return size_; }  // bytes of RAM in all

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

    // Host address of the byte at `address`; null if [address, address+size) is not RAM of one
    // range. Valid as long as this object. For engines and for DMA; the contents may change at
    // any moment under the caller.
    std::byte* host(GuestPhys address, uint64_t size) const;

    // The backing file, and where in it an address lies (for mapping pages a second time).
    int fd() const { return fd_; }
    std::optional<uint64_t> file_offset(GuestPhys address) const;

    // Every write that does not come through this class or a DmaView must be reported here.
    WriteWatch& watch() const { return *watch_; }

  private:
    GuestMemory(std::vector<Range> ranges, uint64_t size, int fd, std::byte* base);

    std::vector<Range> ranges_;
    std::vector<uint64_t> offsets_;  // of each range in the file
    uint64_t size_;
    int fd_;
    std::byte* base_;
    std::unique_ptr<WriteWatch> watch_;
};

}  // namespace mynah
