#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "backend/block/image/disk_image.h"

namespace mynah::testing {

// A way in which an image can be: a format with options.
struct ImageKind {
    const char* name;
    std::function<Result<void>(ImageFile&, uint64_t size)> create;
    std::function<Result<std::unique_ptr<DiskImage>>(std::unique_ptr<ImageFile>)> open;
    bool discards = false;
    bool snapshots = false;
    bool resizes = false;
};

// All that tests go through.
std::vector<ImageKind> image_kinds();

}  // namespace mynah::testing
