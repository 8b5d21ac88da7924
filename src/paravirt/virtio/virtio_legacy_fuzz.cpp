#include "paravirt/virtio/virtio_legacy_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::set_log_level(mynah::LogLevel::kError);
    mynah::testing::ByteFeed feed(data, size);
    mynah::VirtioLegacyFuzzBoard board;
    board.run(feed);
    return 0;
}
