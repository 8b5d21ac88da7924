#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/block/image/image_file.h"

namespace mynah {

// Places and layouts of VHDX [MS-VHDX]; little-endian. Section numbers are the document's.
namespace vhdx {

using Guid = std::array<std::byte, 16>;

inline constexpr uint64_t kMegabyte = 1 << 20;
inline constexpr uint64_t kHeaderAt[2] = {64 * 1024, 128 * 1024};
inline constexpr uint64_t kRegionTableAt[2] = {192 * 1024, 256 * 1024};
inline constexpr uint64_t kHeaderBytes = 4096, kTableBytes = 64 * 1024, kSector = 4096;
inline constexpr uint64_t kMinBlock = kMegabyte, kMaxBlock = 256 * kMegabyte;
inline constexpr uint64_t kMaxDisk = uint64_t{64} << 40;

// States of payload blocks (2.5.1.1) and of sector bitmap blocks (2.5.1.2).
inline constexpr uint64_t kStateMask = 7;
inline constexpr uint64_t kNotPresent = 0, kUndefined = 1, kZero = 2, kUnmapped = 3,
                          kFullyPresent = 6, kPartiallyPresent = 7;
inline constexpr uint64_t kOffsetMask = ~uint64_t{kMegabyte - 1};

struct Header {
    uint64_t sequence = 0;
    Guid file_write{}, data_write{}, log{};
    uint32_t log_length = 0;
    uint64_t log_offset = 0;
};

struct Region {
    uint64_t offset = 0;
    uint32_t length = 0;
};

struct Metadata {
    uint32_t block_size = 0;
    bool has_parent = false, leave_allocated = false;
    uint64_t size = 0;
    uint32_t logical_sector = 512, physical_sector = 4096;
    std::string parent_path;   // relative, or absolute if there is no other
    std::string parent_linkage;  // "{...}" as text
};

uint32_t crc32c(std::span<const std::byte> bytes, uint32_t start = 0);
Guid guid(const char* text);  // "2DC27766-F623-4200-9D64-115E9BFD4A08"
std::string text_of(const Guid& guid);
Guid random_guid();

// The newer of the two headers that is whole (2.2.2). Error: neither is.
Result<Header> read_header(ImageFile& file, unsigned& which);
std::array<std::byte, kHeaderBytes> serialize_header(const Header& header);
// The places of the block allocation table and of the metadata (2.2.3).
Result<void> read_regions(ImageFile& file, Region& table, Region& metadata);
Result<Metadata> read_metadata(ImageFile& file, const Region& region);

}  // namespace vhdx
}  // namespace mynah
