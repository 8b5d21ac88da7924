#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "memory/guest_memory.h"

namespace mynah {

// An ELF executable for x86 (32 or 64 bits), as far as a loader needs it [ELF 1, 2]. The bytes are
// foreign: everything is checked against the file's size before use, and what an image may ask for
// is bounded by its segments fitting into guest memory.
class ElfImage {
  public:
    static constexpr unsigned kMaxSegments = 64;

    static bool looks_like_elf(std::span<const std::byte> file);
    // `origin` begins error messages: "--kernel FILE". The file must outlive the image.
    static Result<ElfImage> parse(std::span<const std::byte> file, std::string origin);

    bool is_64bit() const { return is_64bit_; }
    uint64_t entry() const { return entry_; }

    // Copies the loadable segments to their physical addresses and clears what the file does not
    // cover. Error: a segment lies outside RAM, or below 1 MiB where the boot tables are.
    // Returns the end of the highest one.
    Result<GuestPhys> load(GuestMemory& memory) const;

    // The number in Xen's note of this type, such as XEN_ELFNOTE_PHYS32_ENTRY [xen-elfnote].
    std::optional<uint64_t> xen_note(uint32_t type) const;

  private:
    struct Segment {
        uint32_t type;
        uint64_t file_offset, file_size;
        uint64_t physical, memory_size;
    };

    ElfImage(std::span<const std::byte> file, std::string origin)
        : file_(file), origin_(std::move(origin)) {}
    template <typename Header, typename ProgramHeader>
    Result<void> read_headers();

    std::span<const std::byte> file_;
    std::string origin_;
    bool is_64bit_ = false;
    uint64_t entry_ = 0;
    std::vector<Segment> segments_;
};

}  // namespace mynah
