#include "backend/block/vhd/vhd_image.h"
#include "base/log.h"
#include "testing/image_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mynah;
    set_log_level(static_cast<LogLevel>(99));
    testing::exercise_image(data, size, [](std::unique_ptr<ImageFile> file) -> Result<std::unique_ptr<DiskImage>> {
        return open_vhd(std::move(file));
    });
    return 0;
}
