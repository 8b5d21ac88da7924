#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/block/image/disk_image.h"
#include "base/result.h"

namespace mynah {

struct ImageCreateOptions {
    std::string path;
    std::string format = "raw";
    uint64_t size = 0;  // bytes; ignored with a backing file if 0: that one's
    std::optional<BackingReference> backing;
    // NAME=VALUE as qemu-img's -o has them; what a format does not know is an error.
    std::vector<std::pair<std::string, std::string>> options;
    bool overwrite = false;
};

// Makes a new image. Error: names the file or the option. A file that was begun is removed again,
// unless it was there before.
Result<void> create_image(const ImageCreateOptions& options);

// "64K" and the like: bytes, or with a suffix k K M G T P E.
std::optional<uint64_t> parse_byte_count(const std::string& text);

}  // namespace mynah
