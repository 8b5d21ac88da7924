#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/block/image/disk_image.h"
#include "backend/block/image/host_file.h"

namespace mynah {

struct ImageOpenOptions {
    std::string path;
    std::string format;  // empty: by its signature, or else raw
    bool read_only = false;
    CacheMode cache = CacheMode::kWriteback;
    bool lock = true;
    bool with_backing = true;     // false: this layer only
    bool check_only = false;      // leave a dirty image as it is
    bool discard_unused = true;   // storage that the image needs no more goes back to the host
    // For the backing files of an image: nobody said of a raw one that it is not an image, and a
    // guest may have written a header to it.
    bool no_probing = false;
    // The external data file, as the operator named it. Empty: the one that the image names, if it is
    // beside the image; an image of unknown origin does not choose what else is written, unless
    // `any_data_file`.
    std::string data_file;
    bool any_data_file = false;
};

// Opens an image and what it is backed by. Error: names the file that is the trouble, says why.
Result<std::unique_ptr<DiskImage>> open_image(const ImageOpenOptions& options);

// A name from within an image, seen from where the image lies.
std::string resolve_beside(const std::string& image_path, const std::string& name);

}  // namespace mynah
