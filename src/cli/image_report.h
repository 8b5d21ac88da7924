#pragma once

#include <string>

#include "backend/block/image/disk_image.h"

namespace mynah {

// What `mynah image info` and `check` say; the JSON has the names that qemu-img uses.
std::string image_info_text(DiskImage& image);
std::string image_info_json(DiskImage& image);
std::string image_check_text(DiskImage& image, const CheckReport& report);
std::string image_check_json(DiskImage& image, const CheckReport& report);
std::string snapshot_table(const std::vector<ImageSnapshot>& snapshots);

}  // namespace mynah
