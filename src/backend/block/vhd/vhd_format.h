#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "backend/block/image/image_file.h"

namespace mynah {

// The footer and the dynamic header of a VHD image [VHD]; big-endian.
struct VhdFooter {
    enum class Type : uint32_t { kFixed = 2, kDynamic = 3, kDifferencing = 4 };
    static constexpr size_t kBytes = 512;

    Type type = Type::kDynamic;
    uint64_t size = 0;         // bytes of the disk
    uint64_t header_offset = ~uint64_t{0};
    std::array<std::byte, 16> id{};
    uint32_t timestamp = 0;    // seconds since 2000

    // Error: a clause.
    static Result<VhdFooter> parse(std::span<const std::byte> bytes);
    std::array<std::byte, kBytes> serialize() const;
};

struct VhdDynamicHeader {
    static constexpr size_t kBytes = 1024;

    uint64_t table_offset = 0;
    uint32_t entries = 0;
    uint32_t block_size = 2 << 20;
    std::array<std::byte, 16> parent_id{};
    uint32_t parent_timestamp = 0;
    std::string parent_name;  // as the header has it, UTF-8
    struct Locator {
        uint32_t platform = 0, space = 0, length = 0;
        uint64_t offset = 0;
    };
    std::array<Locator, 8> locators{};

    static Result<VhdDynamicHeader> parse(std::span<const std::byte> bytes);
    std::array<std::byte, kBytes> serialize() const;
};

// Platform codes of parent locators.
inline constexpr uint32_t kVhdRelativeWindows = 0x57327275, kVhdMacUrl = 0x4d616358;

// Text of images, with the replacement character for what is no text.
std::string utf8_of_utf16(std::span<const std::byte> bytes, bool big_endian);
std::vector<std::byte> utf16_of_utf8(const std::string& text, bool big_endian);

}  // namespace mynah
