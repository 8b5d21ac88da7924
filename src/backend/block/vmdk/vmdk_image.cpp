#include "backend/block/vmdk/vmdk_image.h"

#include <fmt/core.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <sstream>

#include "backend/block/raw/raw_image.h"
#include "backend/block/vmdk/vmdk_sparse.h"

namespace mynah {
namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t kMaxDescriptor = 1 << 20;
constexpr size_t kMaxExtents = 4096;
constexpr uint64_t kSplitBytes = uint64_t{2047} << 20;  // of one file of a split image

Error bad(const ImageFile& file, std::string_view what) {
    return image_error(file, fmt::format("is no usable VMDK image: {}", what));
}

// The value of a line `key=value` or `key="value"` of a descriptor; empty: there is none.
std::string value_of(const std::string& descriptor, std::string_view key) {
    std::istringstream lines(descriptor);
    for (std::string line; std::getline(lines, line);) {
        const size_t equals = line.find('=');
        if (equals == std::string::npos) continue;
        std::string name = line.substr(0, equals);
        while (!name.empty() && name.back() == ' ') name.pop_back();
        if (name != key) continue;
        std::string value;
        for (const char letter : line.substr(equals + 1))
            if (letter != '"' && letter != ' ' && letter != '\r') value += letter;
        return value;
    }
    return "";
}

Result<void> expect_no_parent(const ImageFile& file, const std::string& descriptor) {
    const std::string parent = value_of(descriptor, "parentCID");
    if (parent.empty() || parent == "ffffffff") return {};
    return bad(file, "it is the difference from another image, which this version cannot read");
}

struct ExtentLine {
    uint64_t sectors = 0, offset = 0;
    std::string type, name;
    bool read_only = false;
};

// RW 4192256 SPARSE "disk-s001.vmdk", or with an offset behind it for FLAT [VMDK, "The Extent
// Description"]. False: the line is none of these.
bool parse_extent(const std::string& line, ExtentLine& extent) {
    std::istringstream words(line);
    std::string access;
    words >> access >> extent.sectors >> extent.type;
    if (!words || (access != "RW" && access != "RDONLY" && access != "NOACCESS")) return false;
    extent.read_only = access != "RW";
    const size_t open = line.find('"'), close = line.rfind('"');
    if (open == std::string::npos || close == open) return extent.type == "ZERO";
    extent.name = line.substr(open + 1, close - open - 1);
    std::istringstream rest(line.substr(close + 1));
    rest >> extent.offset;
    return true;
}

Result<VmdkImage::Extent> open_extent(const ImageFile& file, const ExtentLine& line,
                                      const VmdkSibling& sibling) {
    VmdkImage::Extent extent;
    if (line.sectors > uint64_t{1} << 44 || line.offset > uint64_t{1} << 44)
        return bad(file, fmt::format("an extent claims {} sectors", line.sectors));
    extent.size = line.sectors * kSector;
    extent.read_only = line.read_only;
    if (line.type == "ZERO") return extent;
    // Whoever wrote the descriptor does not choose among all files of the host.
    if (line.name.empty() || line.name.find('/') != std::string::npos)
        return bad(file, fmt::format("its extent '{}' is not beside it", line.name));
    if (line.type == "FLAT") {
        extent.offset = line.offset * kSector;
        extent.image = std::make_unique<RawImage>(TRY(sibling(line.name)));
    } else if (line.type == "SPARSE") {
        auto opened = TRY(sibling(line.name));
        extent.image = TRY(VmdkSparseExtent::open(std::move(opened)));
    } else {
        return bad(file, fmt::format("extents of type {} are not known", line.type));
    }
    if (extent.image->size() < extent.offset || extent.image->size() - extent.offset < extent.size)
        return bad(file, fmt::format("its extent '{}' is cut short", line.name));
    return extent;
}

Result<std::unique_ptr<DiskImage>> open_descriptor(std::unique_ptr<ImageFile> file,
                                                   const VmdkSibling& sibling) {
    if (file->size() > kMaxDescriptor) return bad(*file, "its descriptor is too long");
    std::string text(file->size(), '\0');
    TRY(expect_ok(*file, "read", file->read_bytes(0, std::as_writable_bytes(std::span(text)))));
    TRY(expect_no_parent(*file, text));
    std::vector<VmdkImage::Extent> extents;
    uint64_t size = 0;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        ExtentLine found;
        if (!parse_extent(line, found)) continue;
        if (extents.size() == kMaxExtents) return bad(*file, "it has too many extents");
        extents.push_back(TRY(open_extent(*file, found, sibling)));
        extents.back().start = size;
        size += extents.back().size;
    }
    if (extents.empty()) return bad(*file, "its descriptor names no extents");
    return std::unique_ptr<DiskImage>(std::make_unique<VmdkImage>(
        std::move(file), value_of(text, "createType"), std::move(extents), size));
}

std::string descriptor_text(const VmdkCreateOptions& options, const std::string& extents) {
    uint32_t id = 0;
    (void)!getrandom(&id, sizeof id, 0);
    if (id >= 0xfffffffe) id = 0x12345678;
    const unsigned heads = options.adapter == "ide" ? 16 : 255;
    return fmt::format(
        "# Disk DescriptorFile\nversion=1\nCID={:08x}\nparentCID=ffffffff\ncreateType=\"{}\"\n\n"
        "# Extent description\n{}\n# The Disk Data Base\n#DDB\n\nddb.virtualHWVersion = \"4\"\n"
        "ddb.geometry.cylinders = \"{}\"\nddb.geometry.heads = \"{}\"\n"
        "ddb.geometry.sectors = \"63\"\nddb.adapterType = \"{}\"\n",
        id, options.subformat, extents,
        std::min<uint64_t>(options.size / kSector / heads / 63, 65535), heads, options.adapter);
}

// Several files, or one that is flat: named after the image, with a suffix that counts them.
Result<void> create_extents(ImageFile& file, const VmdkCreateOptions& options,
                            const VmdkSibling& sibling) {
    const bool flat = options.subformat.ends_with("Flat");
    const bool split = options.subformat.starts_with("twoGb");
    std::string stem = options.name, lines;
    if (stem.ends_with(".vmdk")) stem.resize(stem.size() - 5);
    unsigned number = 0;
    for (uint64_t done = 0; done < options.size || number == 0;) {
        const uint64_t part = split ? std::min(options.size - done, kSplitBytes) : options.size;
        const std::string name =
            split ? fmt::format("{}-{}{:03}.vmdk", stem, flat ? 'f' : 's', ++number)
                  : (++number, stem + "-flat.vmdk");
        const auto extent = TRY(sibling(name));
        if (flat)
            TRY(expect_ok(*extent, "made", extent->truncate(part)));
        else
            TRY(VmdkSparseExtent::create(*extent, {part, false, ""}));
        lines += fmt::format("RW {} {} \"{}\"{}\n", part / kSector, flat ? "FLAT" : "SPARSE", name,
                             flat ? " 0" : "");
        done += part;
        if (part == 0) break;
    }
    const std::string text = descriptor_text(options, lines);
    TRY(expect_ok(file, "written", file.write_bytes(0, std::as_bytes(std::span(text)))));
    return expect_ok(file, "written", file.flush());
}

}  // namespace

Result<std::unique_ptr<DiskImage>> open_vmdk(std::unique_ptr<ImageFile> file,
                                             const VmdkSibling& sibling) {
    std::array<char, 21> start{};
    TRY(expect_ok(*file, "read", file->read_bytes(0, std::as_writable_bytes(std::span(start)))));
    if (std::string_view(start.data(), start.size()) == "# Disk DescriptorFile")
        return open_descriptor(std::move(file), sibling);
    auto extent = TRY(VmdkSparseExtent::open(std::move(file)));
    TRY(expect_no_parent(extent->file(), extent->descriptor()));
    return std::unique_ptr<DiskImage>(std::move(extent));
}

Result<void> create_vmdk(ImageFile& file, const VmdkCreateOptions& options,
                         const VmdkSibling& sibling) {
    static constexpr std::array kAdapters{"ide", "lsilogic", "buslogic", "legacyESX"};
    if (std::ranges::find(kAdapters, options.adapter) == kAdapters.end())
        return Error(fmt::format("adapter_type={}: expected ide, lsilogic, buslogic or legacyESX",
                                 options.adapter));
    const bool stream = options.subformat == "streamOptimized";
    if (options.subformat == "monolithicSparse" || stream) {
        const std::string line =
            fmt::format("RW {} SPARSE \"{}\"\n", options.size / kSector, options.name);
        return VmdkSparseExtent::create(file, {options.size, stream, descriptor_text(options, line)});
    }
    if (options.subformat == "monolithicFlat" || options.subformat == "twoGbMaxExtentFlat" ||
        options.subformat == "twoGbMaxExtentSparse")
        return create_extents(file, options, sibling);
    return Error(fmt::format("subformat={}: expected monolithicSparse, streamOptimized, "
                             "monolithicFlat, twoGbMaxExtentSparse or twoGbMaxExtentFlat",
                             options.subformat));
}

VmdkImage::VmdkImage(std::unique_ptr<ImageFile> descriptor, std::string subformat,
                     std::vector<Extent> extents, uint64_t size)
    : DiskImage(size),
      descriptor_(std::move(descriptor)),
      subformat_(std::move(subformat)),
      extents_(std::move(extents)) {}

bool VmdkImage::read_only() const {
    return descriptor_->read_only() || std::ranges::any_of(extents_, &Extent::read_only);
}

VmdkImage::Extent& VmdkImage::at(uint64_t offset) {
    const auto after = std::ranges::upper_bound(extents_, offset, {}, &Extent::start);
    // Empty ones begin where others do.
    auto found = after - 1;
    return *found;
}

uint64_t VmdkImage::cluster_size() const {
    return extents_.front().image == nullptr ? 0 : extents_.front().image->cluster_size();
}

std::vector<std::pair<std::string, std::string>> VmdkImage::details() const {
    return {{"create type", subformat_}, {"extents", std::to_string(extents_.size())}};
}

BlockStatus VmdkImage::map(uint64_t offset, uint64_t size, ImageExtent& extent) {
    const Extent& part = at(offset);
    size = std::min(size, part.start + part.size - offset);
    if (part.image == nullptr) {
        extent = {ImageExtent::Kind::kZero, false, size, nullptr, 0};
        return BlockStatus::kOk;
    }
    return part.image->map(part.offset + offset - part.start, size, extent);
}

BlockStatus VmdkImage::read_encoded(uint64_t offset, std::span<std::byte> to) {
    const Extent& part = at(offset);
    if (part.image == nullptr) return BlockStatus::kIoError;
    return part.image->read_encoded(part.offset + offset - part.start, to);
}

BlockStatus VmdkImage::write(uint64_t offset, std::span<const std::byte> from) {
    while (!from.empty()) {
        const Extent& part = at(offset);
        const uint64_t size = std::min<uint64_t>(from.size(), part.start + part.size - offset);
        if (part.image == nullptr) return BlockStatus::kReadOnly;
        TRY_BLOCK(part.image->write(part.offset + offset - part.start, from.first(size)));
        offset += size;
        from = from.subspan(size);
    }
    return BlockStatus::kOk;
}

BlockStatus VmdkImage::flush() {
    for (const Extent& extent : extents_)
        if (extent.image != nullptr) TRY_BLOCK(extent.image->flush());
    return BlockStatus::kOk;
}

bool VmdkImage::has_unwritten_tables() const {
    return std::ranges::any_of(extents_, [](const Extent& extent) {
        return extent.image != nullptr && extent.image->has_unwritten_tables();
    });
}

CheckReport VmdkImage::check(Repair repair) {
    CheckReport all;
    for (const Extent& extent : extents_) {
        if (extent.image == nullptr || !extent.image->can_check()) continue;
        const CheckReport one = extent.image->check(repair);
        all.corruptions += one.corruptions;
        all.check_errors += one.check_errors;
        all.total_clusters += one.total_clusters;
        all.allocated_clusters += one.allocated_clusters;
        for (const std::string& line : one.messages) all.say(line);
    }
    return all;
}

}  // namespace mynah
