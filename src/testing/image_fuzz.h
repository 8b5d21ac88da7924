#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "backend/block/image/disk_image.h"
#include "testing/crash_store.h"

namespace mynah::testing {

using OpenFunction =
    std::function<Result<std::unique_ptr<DiskImage>>(std::unique_ptr<ImageFile> file)>;

// Opens bytes as an image, and if that is possible reads all over it, checks it, and writes: nothing
// may crash or take long. For fuzz targets.
inline void exercise_image(const uint8_t* data, size_t size, const OpenFunction& open) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    const std::vector<std::byte> content(bytes, bytes + size);
    for (const bool read_only : {true, false}) {
        CrashStore store(content);
        auto opened = open(store.file(read_only));
        if (!opened) continue;
        DiskImage& image = *opened.value();
        std::vector<std::byte> buffer(64 * 1024);
        const uint64_t step = std::max<uint64_t>(image.size() / 64, 512);
        for (uint64_t at = 0, n = 0; at < image.size() && n < 80; at += step, ++n) {
            ImageExtent extent;
            const uint64_t part = std::min<uint64_t>(buffer.size(), image.size() - at);
            if (image.map(at, part, extent) == BlockStatus::kOk && (extent.size == 0 || extent.size > part))
                __builtin_trap();
            (void)image.read_bytes(at, std::span(buffer).first(part));
        }
        if (image.can_check()) (void)image.check(Repair::kNothing);
        if (read_only || image.size() < 4096) continue;
        (void)image.write(image.size() / 2, std::span(buffer).first(512));
        (void)image.write_zeroes(0, 4096, true);
        (void)image.discard(0, image.size() < (1 << 24) ? image.size() : 1 << 24);
        (void)image.flush();
    }
}

}  // namespace mynah::testing
