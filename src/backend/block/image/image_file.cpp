#include "backend/block/image/image_file.h"

#include <fmt/core.h>

namespace mynah {

const char* describe(BlockStatus status) {
    switch (status) {
        case BlockStatus::kOk:
            return "done";
        case BlockStatus::kIoError:
            return "the host reports an input/output error, or the image is damaged there";
        case BlockStatus::kNoSpace:
            return "no space left";
        case BlockStatus::kReadOnly:
            return "it may only be read";
        case BlockStatus::kUnsupported:
            return "this format cannot do that";
    }
    return "unknown";
}

Error image_error(const ImageFile& file, std::string_view text) {
    return Error(fmt::format("{}: {}", file.name(), text));
}

Error image_error(const ImageFile& file, std::string_view what, BlockStatus status) {
    return Error(fmt::format("{}: cannot be {}: {}", file.name(), what, describe(status)));
}

Result<void> expect_ok(const ImageFile& file, std::string_view what, BlockStatus status) {
    if (status == BlockStatus::kOk) return {};
    return image_error(file, what, status);
}

}  // namespace mynah
