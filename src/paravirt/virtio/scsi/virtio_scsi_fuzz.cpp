#include "paravirt/virtio/devices_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    mynah::set_log_level(mynah::LogLevel::kError);
    mynah::testing::ByteFeed feed(data, size);
    mynah::testing::fuzz_scsi(feed);
    return 0;
}
