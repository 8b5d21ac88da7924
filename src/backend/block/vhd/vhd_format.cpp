#include "backend/block/vhd/vhd_format.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "backend/block/image/byte_order.h"

namespace mynah {
namespace {

uint32_t checksum_of(std::span<const std::byte> bytes, size_t checksum_at) {
    uint32_t sum = 0;
    for (size_t i = 0; i < bytes.size(); ++i)
        if (i < checksum_at || i >= checksum_at + 4) sum += static_cast<uint8_t>(bytes[i]);
    return ~sum;
}

constexpr size_t kFooterChecksum = 64, kHeaderChecksum = 36;
constexpr uint64_t kMaxGeometrySectors = uint64_t{65535} * 16 * 255;

struct Geometry {
    uint16_t cylinders;
    uint8_t heads, sectors;
    uint64_t total() const { return uint64_t{cylinders} * heads * sectors; }
};

// [VHD, "CHS Calculation"]
Geometry geometry_of(uint64_t total) {
    total = std::min(total, kMaxGeometrySectors);
    uint64_t sectors = 255, heads = 16, tracks = total / 255;
    if (total < uint64_t{65535} * 16 * 63) {
        sectors = 17;
        tracks = total / 17;
        heads = std::max<uint64_t>((tracks + 1023) / 1024, 4);
        if (tracks >= heads * 1024 || heads > 16) {
            sectors = 31;
            heads = 16;
            tracks = total / 31;
        }
        if (tracks >= heads * 1024) {
            sectors = 63;
            heads = 16;
            tracks = total / 63;
        }
    }
    return {static_cast<uint16_t>(tracks / heads), static_cast<uint8_t>(heads),
            static_cast<uint8_t>(sectors)};
}

// Whose images have the size their geometry says, and not the one beside it: Virtual PC's, and
// QEMU's unless told otherwise.
bool sized_by_geometry(std::span<const std::byte> creator) {
    return std::memcmp(creator.data(), "vpc ", 4) == 0 || std::memcmp(creator.data(), "qemu", 4) == 0;
}

}  // namespace

Result<VhdFooter> VhdFooter::parse(std::span<const std::byte> bytes) {
    if (std::memcmp(bytes.data(), "conectix", 8) != 0) return Error("it has no footer");
    if (load_big<uint32_t>(&bytes[kFooterChecksum]) != checksum_of(bytes, kFooterChecksum))
        return Error("its footer is damaged (checksum)");
    VhdFooter footer;
    footer.header_offset = load_big<uint64_t>(&bytes[16]);
    footer.timestamp = load_big<uint32_t>(&bytes[24]);
    footer.size = load_big<uint64_t>(&bytes[48]);
    const Geometry geometry{load_big<uint16_t>(&bytes[56]), static_cast<uint8_t>(bytes[58]),
                            static_cast<uint8_t>(bytes[59])};
    if (sized_by_geometry(bytes.subspan(28, 4)) && geometry.total() < kMaxGeometrySectors &&
        geometry.total() > 0)
        footer.size = geometry.total() * 512;
    const uint32_t type = load_big<uint32_t>(&bytes[60]);
    if (type < 2 || type > 4)
        return Error(fmt::format("its type is {}; expected fixed, dynamic or differencing", type));
    footer.type = static_cast<Type>(type);
    std::memcpy(footer.id.data(), &bytes[68], 16);
    if (footer.size > uint64_t{1} << 52) return Error(fmt::format("it claims {} bytes", footer.size));
    return footer;
}

std::array<std::byte, VhdFooter::kBytes> VhdFooter::serialize() const {
    std::array<std::byte, kBytes> bytes{};
    std::memcpy(&bytes[0], "conectix", 8);
    store_big<uint32_t>(&bytes[8], 2);  // a bit that is always set
    store_big<uint32_t>(&bytes[12], 0x00010000);
    store_big<uint64_t>(&bytes[16], header_offset);
    store_big<uint32_t>(&bytes[24], timestamp);
    // Those who look at this take the size from its field, as Hyper-V does.
    std::memcpy(&bytes[28], "win ", 4);
    store_big<uint32_t>(&bytes[32], 0x00060001);
    std::memcpy(&bytes[36], "Wi2k", 4);
    store_big<uint64_t>(&bytes[40], size);
    store_big<uint64_t>(&bytes[48], size);
    const Geometry geometry = geometry_of(size / 512);
    store_big<uint16_t>(&bytes[56], geometry.cylinders);
    bytes[58] = std::byte{geometry.heads};
    bytes[59] = std::byte{geometry.sectors};
    store_big<uint32_t>(&bytes[60], static_cast<uint32_t>(type));
    std::memcpy(&bytes[68], id.data(), 16);
    store_big<uint32_t>(&bytes[kFooterChecksum], checksum_of(bytes, kFooterChecksum));
    return bytes;
}

Result<VhdDynamicHeader> VhdDynamicHeader::parse(std::span<const std::byte> bytes) {
    if (std::memcmp(bytes.data(), "cxsparse", 8) != 0) return Error("it has no dynamic header");
    if (load_big<uint32_t>(&bytes[kHeaderChecksum]) != checksum_of(bytes, kHeaderChecksum))
        return Error("its dynamic header is damaged (checksum)");
    VhdDynamicHeader header;
    header.table_offset = load_big<uint64_t>(&bytes[16]);
    header.entries = load_big<uint32_t>(&bytes[28]);
    header.block_size = load_big<uint32_t>(&bytes[32]);
    std::memcpy(header.parent_id.data(), &bytes[40], 16);
    header.parent_timestamp = load_big<uint32_t>(&bytes[56]);
    header.parent_name = utf8_of_utf16(bytes.subspan(64, 512), true);
    for (size_t i = 0; i < header.locators.size(); ++i) {
        const std::byte* at = &bytes[576 + i * 24];
        header.locators[i] = {load_big<uint32_t>(at), load_big<uint32_t>(at + 4),
                              load_big<uint32_t>(at + 8), load_big<uint64_t>(at + 16)};
    }
    return header;
}

std::array<std::byte, VhdDynamicHeader::kBytes> VhdDynamicHeader::serialize() const {
    std::array<std::byte, kBytes> bytes{};
    std::memcpy(&bytes[0], "cxsparse", 8);
    store_big<uint64_t>(&bytes[8], ~uint64_t{0});
    store_big<uint64_t>(&bytes[16], table_offset);
    store_big<uint32_t>(&bytes[24], 0x00010000);
    store_big<uint32_t>(&bytes[28], entries);
    store_big<uint32_t>(&bytes[32], block_size);
    std::memcpy(&bytes[40], parent_id.data(), 16);
    store_big<uint32_t>(&bytes[56], parent_timestamp);
    const auto name = utf16_of_utf8(parent_name, true);
    std::copy_n(name.begin(), std::min<size_t>(name.size(), 510), bytes.begin() + 64);
    for (size_t i = 0; i < locators.size(); ++i) {
        std::byte* at = &bytes[576 + i * 24];
        store_big<uint32_t>(at, locators[i].platform);
        store_big<uint32_t>(at + 4, locators[i].space);
        store_big<uint32_t>(at + 8, locators[i].length);
        store_big<uint64_t>(at + 16, locators[i].offset);
    }
    store_big<uint32_t>(&bytes[kHeaderChecksum], checksum_of(bytes, kHeaderChecksum));
    return bytes;
}

std::string utf8_of_utf16(std::span<const std::byte> bytes, bool big_endian) {
    std::string text;
    const auto unit_at = [&](size_t at) {
        return big_endian ? load_big<uint16_t>(&bytes[at]) : load_little<uint16_t>(&bytes[at]);
    };
    for (size_t at = 0; at + 2 <= bytes.size(); at += 2) {
        uint32_t code = unit_at(at);
        if (code == 0) break;
        if (code >= 0xd800 && code < 0xdc00 && at + 4 <= bytes.size()) {
            const uint32_t low = unit_at(at + 2);
            if (low >= 0xdc00 && low < 0xe000) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                at += 2;
            }
        }
        if (code >= 0xd800 && code < 0xe000) code = 0xfffd;
        const auto put = [&text](uint32_t byte) { text += static_cast<char>(byte); };
        if (code < 0x80) {
            put(code);
        } else if (code < 0x800) {
            put(0xc0 | code >> 6);
            put(0x80 | (code & 0x3f));
        } else if (code < 0x10000) {
            put(0xe0 | code >> 12);
            put(0x80 | (code >> 6 & 0x3f));
            put(0x80 | (code & 0x3f));
        } else {
            put(0xf0 | code >> 18);
            put(0x80 | (code >> 12 & 0x3f));
            put(0x80 | (code >> 6 & 0x3f));
            put(0x80 | (code & 0x3f));
        }
    }
    return text;
}

std::vector<std::byte> utf16_of_utf8(const std::string& text, bool big_endian) {
    std::vector<std::byte> bytes;
    const auto put = [&](uint32_t unit) {
        std::byte two[2];
        if (big_endian)
            store_big<uint16_t>(two, static_cast<uint16_t>(unit));
        else
            store_little<uint16_t>(two, static_cast<uint16_t>(unit));
        bytes.insert(bytes.end(), two, two + 2);
    };
    for (size_t i = 0; i < text.size();) {
        const auto first = static_cast<uint8_t>(text[i++]);
        const unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : first >= 0xc0 ? 1 : 0;
        uint32_t code = more == 0 ? first : first & (0x3fu >> more);
        for (unsigned n = 0; n < more && i < text.size(); ++n)
            code = code << 6 | (static_cast<uint8_t>(text[i++]) & 0x3f);
        if (code >= 0x10000) {
            put(0xd800 + ((code - 0x10000) >> 10));
            put(0xdc00 + ((code - 0x10000) & 0x3ff));
        } else {
            put(code);
        }
    }
    return bytes;
}

}  // namespace mynah
