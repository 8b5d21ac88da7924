#include "backend/block/vhdx/vhdx_format.h"

#include <fmt/core.h>
#include <sys/random.h>

#include <bit>
#include <cstring>
#include <map>

#include "backend/block/image/byte_order.h"
#include "backend/block/vhd/vhd_format.h"

namespace mynah::vhdx {
namespace {

constexpr uint64_t kMaxMetadataItem = 1 << 20;

Error bad(const ImageFile& file, std::string_view what) {
    return image_error(file, fmt::format("is no usable VHDX image: {}", what));
}

std::array<uint32_t, 256> make_table() {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
        uint32_t value = i;
        for (int bits = 0; bits < 8; ++bits) value = value >> 1 ^ ((value & 1) ? 0x82f63b78u : 0);
        table[i] = value;
    }
    return table;
}

Guid guid_at(const std::byte* at) {
    Guid value;
    std::memcpy(value.data(), at, 16);
    return value;
}

bool whole(std::span<const std::byte> bytes, const char* signature) {
    if (std::memcmp(bytes.data(), signature, 4) != 0) return false;
    std::vector<std::byte> copy(bytes.begin(), bytes.end());
    const uint32_t stated = load_little<uint32_t>(&copy[4]);
    std::memset(&copy[4], 0, 4);
    return crc32c(copy) == stated;
}

std::map<std::string, std::string> key_values(std::span<const std::byte> item) {
    std::map<std::string, std::string> found;
    if (item.size() < 20) return found;
    const uint16_t count = load_little<uint16_t>(&item[18]);
    for (uint64_t i = 0; i < count && 20 + (i + 1) * 12 <= item.size(); ++i) {
        const std::byte* entry = &item[20 + i * 12];
        const uint64_t key_at = load_little<uint32_t>(entry);
        const uint64_t value_at = load_little<uint32_t>(entry + 4);
        const uint64_t key_size = load_little<uint16_t>(entry + 8);
        const uint64_t value_size = load_little<uint16_t>(entry + 10);
        if (key_at + key_size > item.size() || value_at + value_size > item.size()) continue;
        found[utf8_of_utf16(item.subspan(key_at, key_size), false)] =
            utf8_of_utf16(item.subspan(value_at, value_size), false);
    }
    return found;
}

}  // namespace

uint32_t crc32c(std::span<const std::byte> bytes, uint32_t start) {
    static const std::array<uint32_t, 256> kTable = make_table();
    uint32_t value = ~start;
    for (const std::byte byte : bytes)
        value = value >> 8 ^ kTable[(value ^ static_cast<uint8_t>(byte)) & 0xff];
    return ~value;
}

Guid guid(const char* text) {
    std::array<uint8_t, 16> digits{};
    size_t count = 0;
    for (const char* at = text; *at != '\0' && count < 32; ++at) {
        const char c = *at;
        if (c == '-') continue;
        const auto value = static_cast<uint8_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
        digits[count / 2] = static_cast<uint8_t>(digits[count / 2] << 4 | value);
        ++count;
    }
    // The first three groups are little-endian numbers.
    static constexpr std::array<uint8_t, 16> kOrder{3, 2, 1, 0, 5,  4,  7,  6,
                                                    8, 9, 10, 11, 12, 13, 14, 15};
    Guid value;
    for (size_t i = 0; i < 16; ++i) value[i] = std::byte{digits[kOrder[i]]};
    return value;
}

std::string text_of(const Guid& value) {
    const auto byte = [&](size_t i) { return static_cast<uint8_t>(value[i]); };
    return fmt::format("{{{:02x}{:02x}{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-{:02x}{:02x}-"
                       "{:02x}{:02x}{:02x}{:02x}{:02x}{:02x}}}",
                       byte(3), byte(2), byte(1), byte(0), byte(5), byte(4), byte(7), byte(6),
                       byte(8), byte(9), byte(10), byte(11), byte(12), byte(13), byte(14), byte(15));
}

Guid random_guid() {
    Guid value{};
    // 16 bytes are always given, once the host has started.
    (void)!getrandom(value.data(), value.size(), 0);
    value[7] = (value[7] & std::byte{0x0f}) | std::byte{0x40};
    value[8] = (value[8] & std::byte{0x3f}) | std::byte{0x80};
    return value;
}

Result<Header> read_header(ImageFile& file, unsigned& which) {
    std::byte signature[8];
    TRY(expect_ok(file, "read", file.read_bytes(0, signature)));
    if (std::memcmp(signature, "vhdxfile", 8) != 0) return bad(file, "it does not begin as one");
    bool found = false;
    Header best;
    for (unsigned i = 0; i < 2; ++i) {
        std::vector<std::byte> bytes(kHeaderBytes);
        TRY(expect_ok(file, "read", file.read_bytes(kHeaderAt[i], bytes)));
        if (!whole(bytes, "head") || load_little<uint16_t>(&bytes[66]) != 1) continue;
        Header header;
        header.sequence = load_little<uint64_t>(&bytes[8]);
        if (found && header.sequence <= best.sequence) continue;
        header.file_write = guid_at(&bytes[16]);
        header.data_write = guid_at(&bytes[32]);
        header.log = guid_at(&bytes[48]);
        header.log_length = load_little<uint32_t>(&bytes[68]);
        header.log_offset = load_little<uint64_t>(&bytes[72]);
        best = header;
        which = i;
        found = true;
    }
    if (!found) return bad(file, "both its headers are damaged");
    if (best.log_offset % kMegabyte != 0 || best.log_length % kMegabyte != 0 ||
        best.log_length == 0 || best.log_length > (64u << 20) || best.log_offset < kMegabyte ||
        best.log_offset > uint64_t{1} << 50)
        return bad(file, "its log lies nowhere");
    return best;
}

std::array<std::byte, kHeaderBytes> serialize_header(const Header& header) {
    std::array<std::byte, kHeaderBytes> bytes{};
    std::memcpy(&bytes[0], "head", 4);
    store_little<uint64_t>(&bytes[8], header.sequence);
    std::memcpy(&bytes[16], header.file_write.data(), 16);
    std::memcpy(&bytes[32], header.data_write.data(), 16);
    std::memcpy(&bytes[48], header.log.data(), 16);
    store_little<uint16_t>(&bytes[66], 1);
    store_little<uint32_t>(&bytes[68], header.log_length);
    store_little<uint64_t>(&bytes[72], header.log_offset);
    store_little<uint32_t>(&bytes[4], crc32c(bytes));
    return bytes;
}

Result<void> read_regions(ImageFile& file, Region& table, Region& metadata) {
    const Guid table_id = guid("2DC27766-F623-4200-9D64-115E9BFD4A08");
    const Guid metadata_id = guid("8B7CA206-4790-4B9A-B8FE-575F050F886E");
    std::vector<std::byte> bytes(kTableBytes);
    bool good = false;
    for (unsigned i = 0; i < 2 && !good; ++i) {
        TRY(expect_ok(file, "read", file.read_bytes(kRegionTableAt[i], bytes)));
        good = whole(bytes, "regi");
    }
    if (!good) return bad(file, "both its region tables are damaged");
    const uint32_t count = load_little<uint32_t>(&bytes[8]);
    if (count > 2047) return bad(file, "it has too many regions");
    for (uint32_t i = 0; i < count; ++i) {
        const std::byte* entry = &bytes[16 + i * 32];
        const Region region{load_little<uint64_t>(entry + 16), load_little<uint32_t>(entry + 24)};
        const bool known = guid_at(entry) == table_id || guid_at(entry) == metadata_id;
        if (!known && (load_little<uint32_t>(entry + 28) & 1) != 0)
            return bad(file, "it has a region this version does not know");
        if (!known) continue;
        if (region.offset % kMegabyte != 0 || region.offset < kMegabyte || region.length == 0 ||
            region.offset > uint64_t{1} << 50)
            return bad(file, "a region lies nowhere");
        (guid_at(entry) == table_id ? table : metadata) = region;
    }
    if (table.length == 0 || metadata.length == 0) return bad(file, "a region is missing");
    return {};
}

Result<Metadata> read_metadata(ImageFile& file, const Region& region) {
    std::vector<std::byte> bytes(kTableBytes);
    TRY(expect_ok(file, "read", file.read_bytes(region.offset, bytes)));
    if (std::memcmp(bytes.data(), "metadata", 8) != 0) return bad(file, "its metadata is damaged");
    const uint16_t count = load_little<uint16_t>(&bytes[10]);
    if (count > 2047) return bad(file, "it has too much metadata");
    static const Guid kParameters = guid("CAA16737-FA36-4D43-B3B6-33F0AA44E76B"),
                      kSize = guid("2FA54224-CD1B-4876-B211-5DBED83BF4B8"),
                      kPage83 = guid("BECA12AB-B2E6-4523-93EF-C309E000C746"),
                      kLogical = guid("8141BF1D-A96F-4709-BA47-F233A8FAAB5F"),
                      kPhysical = guid("CDA348C7-445D-4471-9CC9-E9885251C556"),
                      kParent = guid("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C");
    Metadata found;
    for (uint16_t i = 0; i < count; ++i) {
        const std::byte* entry = &bytes[32 + i * size_t{32}];
        const Guid id = guid_at(entry);
        const uint64_t offset = load_little<uint32_t>(entry + 16);
        const uint64_t length = load_little<uint32_t>(entry + 20);
        const uint32_t flags = load_little<uint32_t>(entry + 24);
        if (length > kMaxMetadataItem || offset + length > region.length)
            return bad(file, "a piece of metadata lies outside");
        std::vector<std::byte> item(std::max<uint64_t>(length, 8));
        TRY(expect_ok(file, "read", file.read_bytes(region.offset + offset, std::span(item).first(length))));
        if (id == kParameters) {
            found.block_size = load_little<uint32_t>(item.data());
            const uint32_t bits = load_little<uint32_t>(&item[4]);
            found.leave_allocated = (bits & 1) != 0;
            found.has_parent = (bits & 2) != 0;
        } else if (id == kSize) {
            found.size = load_little<uint64_t>(item.data());
        } else if (id == kLogical) {
            found.logical_sector = load_little<uint32_t>(item.data());
        } else if (id == kPhysical) {
            found.physical_sector = load_little<uint32_t>(item.data());
        } else if (id == kParent) {
            const auto values = key_values(std::span(item).first(length));
            for (const char* key : {"absolute_win32_path", "relative_path"})
                if (values.contains(key)) found.parent_path = values.at(key);
            if (values.contains("parent_linkage")) found.parent_linkage = values.at("parent_linkage");
        } else if (id != kPage83 && (flags & 4) != 0) {
            return bad(file, "it has required metadata this version does not know");
        }
    }
    if (!std::has_single_bit(found.block_size) || found.block_size < kMinBlock ||
        found.block_size > kMaxBlock)
        return bad(file, fmt::format("its blocks have {} bytes", found.block_size));
    if (found.logical_sector != 512 && found.logical_sector != 4096)
        return bad(file, fmt::format("its sectors have {} bytes", found.logical_sector));
    if (found.size > kMaxDisk || found.size % found.logical_sector != 0)
        return bad(file, fmt::format("it claims a disk of {} bytes", found.size));
    if (found.has_parent && found.parent_path.empty())
        return bad(file, "it does not say what it is the difference from");
    return found;
}

}  // namespace mynah::vhdx
