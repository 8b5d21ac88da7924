#pragma once

#include <functional>
#include <optional>
#include <string>

#include "backend/block/image/disk_image.h"

namespace mynah {

// Told now and then how far an operation is: 0 to 1.
using ImageProgress = std::function<void(double)>;

// Copies the disk into a new image of at least its size, of which nothing was written yet. What is
// zero is not written; `compress`: each cluster is packed.
Result<void> copy_image(DiskImage& from, DiskImage& to, bool compress, const ImageProgress& told);

// Writes what differs from what `to` shows already, through what it is backed by.
Result<void> copy_difference(DiskImage& from, DiskImage& to, const ImageProgress& told);

// Writes what `top` has into `below`, which is the image it is backed by, opened for writing, and
// makes that larger if need be.
Result<void> commit_image(DiskImage& top, DiskImage& below, const ImageProgress& told);

// Gives `top`, which is open with its old backing image, what it takes to look the same over
// `other` (may be null: over nothing). The reference is not changed.
Result<void> rebase_image(DiskImage& top, DiskImage* other, const ImageProgress& told);

// The first byte in which two disks differ; nothing: they are equal (where one is longer, the
// rest of it is zeroes).
Result<std::optional<uint64_t>> compare_images(DiskImage& one, DiskImage& two,
                                               const ImageProgress& told);

}  // namespace mynah
