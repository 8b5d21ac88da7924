#include "firmware/bzimage.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/bits.h"

namespace mynah {

using linux_boot::SetupHeader;

namespace {

constexpr uint64_t kFixedFileBytes = linux_boot::kSetupHeaderOffset + sizeof(SetupHeader);
constexpr uint64_t kHeaderJumpBase = 0x202;  // the jump's distance counts from here
constexpr uint64_t kParagraph = 16;          // unit of syssize
constexpr uint8_t kDefaultSetupSectors = 4;  // what 0 stands for

}  // namespace

bool BzImage::looks_like_bzimage(std::span<const std::byte> file) {
    constexpr uint64_t kMagicOffset =
        linux_boot::kSetupHeaderOffset + offsetof(SetupHeader, header);
    return file.size() >= kMagicOffset + sizeof(uint32_t) &&
           load_unaligned<uint32_t>(file.data() + kMagicOffset) == linux_boot::kHdrS;
}

Result<BzImage> BzImage::parse(std::span<const std::byte> file, const std::string& origin) {
    if (!looks_like_bzimage(file)) return Error(origin + ": not a Linux bzImage");
    if (file.size() < kFixedFileBytes) {
        return Error(
            fmt::format("{}: truncated: the setup header ends at {}, the file has {} bytes", origin,
                        kFixedFileBytes, file.size()));
    }
    BzImage image;
    const std::byte* header_bytes = file.data() + linux_boot::kSetupHeaderOffset;
    const auto whole = load_unaligned<SetupHeader>(header_bytes);
    if (whole.version < linux_boot::kOldestProtocol) {
        return Error(fmt::format("{}: boot protocol {}.{:02}; expected 2.12 (Linux 3.8) or later",
                                 origin, whole.version >> 8, whole.version & 0xff));
    }
    if ((whole.loadflags & linux_boot::loadflags::kLoadedHigh) == 0) {
        return Error(origin + ": a zImage (loaded low); expected a bzImage");
    }
    const uint64_t header_end = kHeaderJumpBase + (whole.jump >> 8);
    image.header_size_ = std::min<uint64_t>(header_end > linux_boot::kSetupHeaderOffset
                                                ? header_end - linux_boot::kSetupHeaderOffset
                                                : 0,
                                            sizeof(SetupHeader));
    std::memcpy(&image.header_, header_bytes, image.header_size_);

    const uint64_t sectors = whole.setup_sects != 0 ? whole.setup_sects : kDefaultSetupSectors;
    const uint64_t code_start = (sectors + 1) * linux_boot::kSector;
    const uint64_t paragraphs = uint64_t{whole.syssize} * kParagraph;
    // Code may end within the last paragraph that syssize counts (memtest86+ does).
    if (paragraphs == 0 || code_start + paragraphs > file.size() + kParagraph - 1) {
        return Error(fmt::format("{}: truncated: the kernel needs {} bytes, the file has {}",
                                 origin, code_start + paragraphs, file.size()));
    }
    const uint64_t code_size = std::min<uint64_t>(paragraphs, file.size() - code_start);
    // Linux signs an image by appending to it, so the file's end is not the code's end.
    image.code_ = file.subspan(code_start, code_size);
    const uint64_t payload_end =
        uint64_t{image.header_.payload_offset} + image.header_.payload_length;
    if (payload_end > code_size) {
        return Error(fmt::format("{}: damaged: its payload ends at {} of {} bytes", origin,
                                 payload_end, code_size));
    }
    image.payload_ =
        image.code_.subspan(image.header_.payload_offset, image.header_.payload_length);
    return image;
}

uint32_t BzImage::unpacked_size() const {
    if (payload_.size() < sizeof(uint32_t)) return 0;
    return load_unaligned<uint32_t>(payload_.data() + payload_.size() - sizeof(uint32_t));
}

}  // namespace mynah
