#include <fmt/core.h>

#include <bit>
#include <cstring>

#include "backend/block/image/byte_order.h"
#include "backend/block/vhd/vhd_format.h"
#include "backend/block/vhdx/vhdx_image.h"

namespace mynah {

using namespace vhdx;

namespace {

// Where a new image's parts are.
constexpr uint64_t kLogAt = kMegabyte, kLogBytes = kMegabyte, kMetadataAt = 2 * kMegabyte,
                   kMetadataBytes = kMegabyte, kTableAt = 3 * kMegabyte;
constexpr uint32_t kSectorBytes = 512;
constexpr uint64_t kItemsAt = 64 * 1024;  // behind the table of metadata

// As Windows and QEMU choose: larger blocks for larger disks.
uint64_t usual_block_size(uint64_t size) {
    if (size > uint64_t{100} << 30) return 32 * kMegabyte;
    return size > uint64_t{1} << 30 ? 16 * kMegabyte : 8 * kMegabyte;
}

std::vector<std::byte> region_table(uint64_t table_bytes) {
    std::vector<std::byte> bytes(kTableBytes);
    std::memcpy(&bytes[0], "regi", 4);
    store_little<uint32_t>(&bytes[8], 2);
    const auto put = [&bytes](size_t at, const char* id, uint64_t offset, uint64_t length) {
        const Guid value = guid(id);
        std::memcpy(&bytes[at], value.data(), 16);
        store_little<uint64_t>(&bytes[at + 16], offset);
        store_little<uint32_t>(&bytes[at + 24], static_cast<uint32_t>(length));
        store_little<uint32_t>(&bytes[at + 28], 1);  // required
    };
    put(16, "2DC27766-F623-4200-9D64-115E9BFD4A08", kTableAt, table_bytes);
    put(48, "8B7CA206-4790-4B9A-B8FE-575F050F886E", kMetadataAt, kMetadataBytes);
    store_little<uint32_t>(&bytes[4], crc32c(bytes));
    return bytes;
}

// A parent locator (2.6.2.6): keys and values, all UTF-16.
std::vector<std::byte> parent_locator(const VhdxCreateOptions& options) {
    const std::pair<const char*, std::string> pairs[2] = {
        {"parent_linkage", options.parent_linkage}, {"relative_path", options.backing->path}};
    std::vector<std::byte> item(20 + 2 * 12);
    const Guid type = guid("B04AEFB7-D19E-4A81-B789-25B8E9445913");
    std::memcpy(&item[0], type.data(), 16);
    store_little<uint16_t>(&item[18], 2);
    for (size_t i = 0; i < 2; ++i) {
        const auto key = utf16_of_utf8(pairs[i].first, false);
        const auto value = utf16_of_utf8(pairs[i].second, false);
        const size_t key_at = item.size();
        item.insert(item.end(), key.begin(), key.end());
        const size_t value_at = item.size();
        item.insert(item.end(), value.begin(), value.end());
        std::byte* entry = &item[20 + i * 12];
        store_little<uint32_t>(entry, static_cast<uint32_t>(key_at));
        store_little<uint32_t>(entry + 4, static_cast<uint32_t>(value_at));
        store_little<uint16_t>(entry + 8, static_cast<uint16_t>(key.size()));
        store_little<uint16_t>(entry + 10, static_cast<uint16_t>(value.size()));
    }
    return item;
}

std::vector<std::byte> metadata(const VhdxCreateOptions& options, uint64_t block_size) {
    std::vector<std::byte> bytes(kItemsAt + 64 * 1024);
    std::memcpy(&bytes[0], "metadata", 8);
    uint16_t count = 0;
    uint64_t at = kItemsAt;
    // Flags: 2 about the virtual disk, 4 required.
    const auto put = [&](const char* id, std::span<const std::byte> item, uint32_t flags) {
        std::byte* entry = &bytes[32 + count * size_t{32}];
        const Guid value = guid(id);
        std::memcpy(entry, value.data(), 16);
        store_little<uint32_t>(entry + 16, static_cast<uint32_t>(at));
        store_little<uint32_t>(entry + 20, static_cast<uint32_t>(item.size()));
        store_little<uint32_t>(entry + 24, flags);
        std::memcpy(&bytes[at], item.data(), item.size());
        at += align_up(item.size(), 8);
        store_little<uint16_t>(&bytes[10], ++count);
    };
    std::byte item[16];
    store_little<uint32_t>(item, static_cast<uint32_t>(block_size));
    store_little<uint32_t>(item + 4, (options.fixed ? 1u : 0u) | (options.backing ? 2u : 0u));
    put("CAA16737-FA36-4D43-B3B6-33F0AA44E76B", std::span(item).first(8), 4);
    store_little<uint64_t>(item, options.size);
    put("2FA54224-CD1B-4876-B211-5DBED83BF4B8", std::span(item).first(8), 6);
    const Guid page83 = random_guid();
    put("BECA12AB-B2E6-4523-93EF-C309E000C746", page83, 6);
    store_little<uint32_t>(item, kSectorBytes);
    put("8141BF1D-A96F-4709-BA47-F233A8FAAB5F", std::span(item).first(4), 6);
    store_little<uint32_t>(item, 4096);
    put("CDA348C7-445D-4471-9CC9-E9885251C556", std::span(item).first(4), 6);
    if (options.backing)
        put("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C", parent_locator(options), 4);
    return bytes;
}

}  // namespace

Result<void> VhdxImage::create(ImageFile& file, const VhdxCreateOptions& options) {
    const uint64_t block_size =
        options.block_size == 0 ? usual_block_size(options.size) : options.block_size;
    if (!std::has_single_bit(block_size) || block_size < kMinBlock || block_size > kMaxBlock)
        return Error("block_size: expected a power of two from 1M to 256M");
    if (options.size > kMaxDisk) return Error("size: a VHDX image has at most 64 TiB");
    if (options.fixed && options.backing)
        return Error("a fixed VHDX image cannot have a backing file");
    if (options.backing && options.backing->path.size() > 4096)
        return Error("the name of the backing file is too long");
    const uint64_t ratio = (uint64_t{1} << 23) * kSectorBytes / block_size;
    const uint64_t blocks = (options.size + block_size - 1) / block_size;
    const uint64_t entries = options.backing ? (blocks + ratio - 1) / ratio * (ratio + 1)
                                             : blocks + (blocks == 0 ? 0 : (blocks - 1) / ratio);
    const uint64_t table_bytes = align_up(std::max<uint64_t>(entries * 8, 1), kMegabyte);
    const auto put = [&file](uint64_t at, std::span<const std::byte> bytes) {
        return expect_ok(file, "written", file.write_bytes(at, bytes));
    };
    std::vector<std::byte> identifier(520);
    std::memcpy(&identifier[0], "vhdxfile", 8);
    const auto creator = utf16_of_utf8("Mynah", false);
    std::memcpy(&identifier[8], creator.data(), creator.size());
    TRY(put(0, identifier));
    Header header;
    header.file_write = random_guid();
    header.data_write = random_guid();
    header.log_length = kLogBytes;
    header.log_offset = kLogAt;
    for (const uint64_t place : kHeaderAt) {
        ++header.sequence;
        TRY(put(place, serialize_header(header)));
    }
    for (const uint64_t place : kRegionTableAt) TRY(put(place, region_table(table_bytes)));
    TRY(put(kMetadataAt, metadata(options, block_size)));
    const uint64_t data_at = kTableAt + table_bytes;
    TRY(expect_ok(file, "made", file.truncate(data_at + (options.fixed ? blocks * block_size : 0))));
    if (options.fixed) {
        std::vector<std::byte> table(entries * 8);
        for (uint64_t i = 0; i < blocks; ++i)
            store_little<uint64_t>(&table[(i + i / ratio) * 8],
                                   (data_at + i * block_size) | kFullyPresent);
        if (!table.empty()) TRY(put(kTableAt, table));
    }
    return expect_ok(file, "written", file.flush());
}

}  // namespace mynah
