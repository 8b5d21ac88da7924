#include "backend/block/image/image_operations.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

namespace mynah {
namespace {

constexpr uint64_t kChunk = 2 << 20;
// Runs of zeroes shorter than this are copied as data: smaller holes cost more than they save.
constexpr uint64_t kZeroUnit = 4096;

bool is_zero(std::span<const std::byte> bytes) {
    return bytes.empty() || (bytes[0] == std::byte{0} &&
                             std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

Result<void> sure(DiskImage& image, const char* what, BlockStatus status) {
    return expect_ok(image.file(), what, status);
}

// Writes those parts of a chunk that are not zeroes.
BlockStatus write_data(DiskImage& to, uint64_t offset, std::span<const std::byte> bytes) {
    for (uint64_t at = 0; at < bytes.size();) {
        const auto unit = [&](uint64_t from) {
            return bytes.subspan(from, std::min(kZeroUnit, bytes.size() - from));
        };
        uint64_t end = at;
        const bool zero = is_zero(unit(at));
        while (end < bytes.size() && is_zero(unit(end)) == zero) end += unit(end).size();
        if (!zero) TRY_BLOCK(to.write(offset + at, bytes.subspan(at, end - at)));
        at = end;
    }
    return BlockStatus::kOk;
}

BlockStatus write_packed(DiskImage& to, uint64_t offset, std::span<const std::byte> bytes) {
    const uint64_t unit = to.cluster_size();
    for (uint64_t at = 0; at < bytes.size(); at += unit) {
        const auto cluster = bytes.subspan(at, std::min<uint64_t>(unit, bytes.size() - at));
        if (!is_zero(cluster)) TRY_BLOCK(to.write_compressed(offset + at, cluster));
    }
    return BlockStatus::kOk;
}

// Bytes beyond the end of a disk are zeroes.
BlockStatus read_padded(DiskImage* image, uint64_t offset, std::span<std::byte> to) {
    const uint64_t there = image == nullptr || offset >= image->size()
                               ? 0
                               : std::min<uint64_t>(to.size(), image->size() - offset);
    if (there < to.size()) std::memset(to.data() + there, 0, to.size() - there);
    return there > 0 ? image->read_bytes(offset, to.first(there)) : BlockStatus::kOk;
}

double share(uint64_t done, uint64_t all) {
    return all == 0 ? 1 : static_cast<double>(done) / static_cast<double>(all);
}

}  // namespace

Result<void> copy_image(DiskImage& from, DiskImage& to, bool compress,
                        const ImageProgress& told) {
    if (compress && !to.can_compress())
        return Error(fmt::format("{}: {} images cannot be compressed", to.file().name(), to.format()));
    const uint64_t unit = std::max<uint64_t>(compress ? to.cluster_size() : 1, 1);
    std::vector<std::byte> buffer(std::max(kChunk / unit * unit, unit));
    bool wrote = false;
    for (uint64_t offset = 0; offset < from.size();) {
        ImageExtent extent;
        TRY(sure(from, "read", from.map_chain(offset, from.size() - offset, extent, nullptr)));
        uint64_t part = std::min<uint64_t>(extent.size, buffer.size());
        if (extent.kind == ImageExtent::Kind::kZero && (offset + extent.size) / unit > offset / unit) {
            // Up to where the next cluster that may hold something begins.
            const uint64_t end = offset + extent.size;
            part = end == from.size() ? extent.size : end / unit * unit - offset;
        }
        if (extent.kind != ImageExtent::Kind::kZero || part == 0 || part % unit != 0) {
            part = std::min<uint64_t>(std::max(part / unit * unit, unit), from.size() - offset);
            const auto bytes = std::span(buffer).first(std::min<uint64_t>(part, buffer.size()));
            part = bytes.size();
            TRY(sure(from, "read", from.read_bytes(offset, bytes)));
            TRY(sure(to, "written", compress ? write_packed(to, offset, bytes)
                                             : write_data(to, offset, bytes)));
            wrote = true;
        }
        offset += part;
        told(share(offset, from.size()));
    }
    // A stream has its tables at the end: without any content it would have no end.
    if (compress && !wrote && from.size() > 0) {
        std::ranges::fill(buffer, std::byte{0});
        const auto first = std::span(buffer).first(std::min<uint64_t>(unit, from.size()));
        TRY(sure(to, "written", to.write_compressed(0, first)));
    }
    return sure(to, "written", to.flush());
}

Result<void> copy_difference(DiskImage& from, DiskImage& to, const ImageProgress& told) {
    const uint64_t unit = std::max<uint64_t>(to.cluster_size(), 512);
    std::vector<std::byte> wanted(std::max(kChunk / unit * unit, unit)), there(wanted.size());
    for (uint64_t offset = 0; offset < from.size();) {
        const uint64_t part = std::min<uint64_t>(wanted.size(), from.size() - offset);
        TRY(sure(from, "read", from.read_bytes(offset, std::span(wanted).first(part))));
        TRY(sure(to, "read", to.read_bytes(offset, std::span(there).first(part))));
        for (uint64_t at = 0; at < part; at += unit) {
            const uint64_t size = std::min(unit, part - at);
            if (std::memcmp(&wanted[at], &there[at], size) == 0) continue;
            TRY(sure(to, "written", to.write(offset + at, std::span(wanted).subspan(at, size))));
        }
        offset += part;
        told(share(offset, from.size()));
    }
    return sure(to, "written", to.flush());
}

Result<void> commit_image(DiskImage& top, DiskImage& below, const ImageProgress& told) {
    if (below.size() < top.size()) TRY(below.resize(top.size()));
    std::vector<std::byte> buffer(kChunk);
    for (uint64_t offset = 0; offset < top.size();) {
        ImageExtent extent;
        TRY(sure(top, "read", top.map(offset, top.size() - offset, extent)));
        if (extent.kind == ImageExtent::Kind::kZero) {
            TRY(sure(below, "written", below.write_zeroes(offset, extent.size, true)));
        } else if (extent.kind != ImageExtent::Kind::kBacking) {
            extent.size = std::min<uint64_t>(extent.size, buffer.size());
            const auto bytes = std::span(buffer).first(extent.size);
            TRY(sure(top, "read", top.read_bytes(offset, bytes)));
            TRY(sure(below, "written", below.write(offset, bytes)));
        }
        offset += extent.size;
        told(share(offset, top.size()));
    }
    return sure(below, "written", below.flush());
}

Result<void> rebase_image(DiskImage& top, DiskImage* other, const ImageProgress& told) {
    const uint64_t unit = std::max<uint64_t>(top.cluster_size(), 512);
    std::vector<std::byte> old_bytes(std::max(kChunk / unit * unit, unit));
    std::vector<std::byte> new_bytes(old_bytes.size());
    for (uint64_t offset = 0; offset < top.size();) {
        ImageExtent extent;
        TRY(sure(top, "read", top.map(offset, top.size() - offset, extent)));
        const uint64_t part = std::min<uint64_t>(extent.size, old_bytes.size());
        if (extent.kind == ImageExtent::Kind::kBacking) {
            const auto was = std::span(old_bytes).first(part);
            const auto becomes = std::span(new_bytes).first(part);
            TRY(sure(top, "read", top.read_bytes(offset, was)));
            if (other != nullptr)
                TRY(sure(*other, "read", read_padded(other, offset, becomes)));
            else
                std::ranges::fill(becomes, std::byte{0});
            for (uint64_t at = 0; at < part; at += unit) {
                const uint64_t size = std::min(unit, part - at);
                if (std::memcmp(&was[at], &becomes[at], size) == 0) continue;
                TRY(sure(top, "written", top.write(offset + at, was.subspan(at, size))));
            }
        }
        offset += part;
        told(share(offset, top.size()));
    }
    return sure(top, "written", top.flush());
}

Result<std::optional<uint64_t>> compare_images(DiskImage& one, DiskImage& two,
                                               const ImageProgress& told) {
    const uint64_t size = std::max(one.size(), two.size());
    std::vector<std::byte> first(kChunk), second(kChunk);
    for (uint64_t offset = 0; offset < size; offset += kChunk) {
        const uint64_t part = std::min(kChunk, size - offset);
        TRY(sure(one, "read", read_padded(&one, offset, std::span(first).first(part))));
        TRY(sure(two, "read", read_padded(&two, offset, std::span(second).first(part))));
        const auto [left, right] = std::ranges::mismatch(std::span(first).first(part),
                                                         std::span(second).first(part));
        if (left != std::span(first).first(part).end())
            return std::optional<uint64_t>(offset + static_cast<uint64_t>(left - std::span(first).begin()));
        told(share(offset + part, size));
    }
    return std::optional<uint64_t>();
}

}  // namespace mynah
