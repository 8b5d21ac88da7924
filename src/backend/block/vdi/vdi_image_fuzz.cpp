#include "backend/block/vdi/vdi_image.h"
#include "base/log.h"
#include "testing/image_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace mynah;
    set_log_level(static_cast<LogLevel>(99));
    testing::exercise_image(data, size, [](std::unique_ptr<ImageFile> file) -> Result<std::unique_ptr<DiskImage>> {
        return std::unique_ptr<DiskImage>(TRY(VdiImage::open(std::move(file))));
    });
    return 0;
}
